"""Lists come in parts, each in the same envelope."""

from typing import Any

import pytest


async def test_a_list_says_where_its_part_stands(ask: Any) -> None:
    reply = await ask("GET", "/things?limit=10&offset=20&sort=name&order=asc")
    assert reply.body["meta"] == {
        "offset": 20,
        "limit": 10,
        "count": 1,
        "total_count": 1,
        "sort": "name",
        "order": "asc",
        "next_cursor": None,
    }
    assert len(reply.body["data"]) == 1


async def test_what_is_not_asked_for_has_its_default(ask: Any) -> None:
    meta = (await ask("GET", "/things")).body["meta"]
    assert (meta["limit"], meta["offset"], meta["sort"], meta["order"]) == (100, 0, "created_at", "desc")


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("limit=0", "query.limit"),
        ("limit=1001", "query.limit"),
        ("limit=ten", "query.limit"),
        ("offset=-1", "query.offset"),
        ("offset=10001", "query.offset"),
        ("sort=password", "query.sort"),
        ("order=up", "query.order"),
        ("limit=99999999999999999999", "query.limit"),
    ],
)
async def test_a_part_that_cannot_be_given_is_400(ask: Any, query: str, location: str) -> None:
    reply = await ask("GET", f"/things?{query}")
    assert reply.is_problem("invalid_request", 400)
    assert list(reply.errors()) == [location]


async def test_what_lies_too_far_is_refused_by_naming_the_way_there(ask: Any) -> None:
    assert "cursor" in (await ask("GET", "/things?offset=10001")).errors()["query.offset"]


async def test_a_cursor_brings_its_own_sort_and_order_along(ask: Any) -> None:
    cursor = (await ask("GET", "/things?sort=name&order=asc&limit=1&offset=3")).body["meta"]["next_cursor"]
    meta = (await ask("GET", f"/things?cursor={cursor}")).body["meta"]
    assert (meta["sort"], meta["order"], meta["offset"], meta["limit"]) == ("name", "asc", 0, 100)


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("sort=created_at", "query.cursor"),
        ("order=desc", "query.cursor"),
        ("offset=1", "query.offset"),
        ("color=red", "query.cursor"),
    ],
)
async def test_a_cursor_that_does_not_fit_the_request_is_400(ask: Any, query: str, location: str) -> None:
    cursor = (await ask("GET", "/things?sort=name&order=asc&limit=1&offset=3")).body["meta"]["next_cursor"]
    reply = await ask("GET", f"/things?cursor={cursor}&{query}")
    assert reply.is_problem("invalid_request", 400)
    assert list(reply.errors()) == [location]


async def test_a_cursor_of_another_list_is_400(ask: Any) -> None:
    cursor = (await ask("GET", "/things?limit=1&offset=3")).body["meta"]["next_cursor"]
    assert (await ask("GET", f"/others?cursor={cursor}")).status == 400
    assert (await ask("GET", f"/things?cursor={cursor[:-4]}")).status == 400
