"""What goes wrong is answered by a problem document, whatever it is."""

import re
from typing import Any
from uuid import uuid4

import pytest

ID = "0190d0a0-0000-7000-8000-000000000001"


def _id(reply: Any) -> str:
    request_id: str = reply.headers["x-request-id"]
    return request_id


async def test_a_refusal_becomes_a_problem_with_its_docstring_as_the_detail(ask: Any) -> None:
    reply = await ask("GET", "/fails/fields")
    assert reply.is_problem("unprocessable_entity", 422)
    assert reply.body["detail"] == "There are too many things already."
    assert reply.errors() == {"body.name": "is taken"}
    assert reply.body["instance"] == "/fails/fields"


async def test_a_refusal_that_time_may_lift_says_when_to_come_back_in_whole_seconds(ask: Any) -> None:
    reply = await ask("GET", "/fails/later")
    assert reply.is_problem("too_many_requests", 429)
    assert reply.headers["retry-after"] == "3"


async def test_a_conflict_is_409(ask: Any) -> None:
    assert (await ask("GET", "/fails/conflict")).is_problem("conflict", 409)


async def test_an_unexpected_fault_is_500_and_tells_nothing(ask: Any) -> None:
    reply = await ask("GET", "/fails/unexpectedly")
    assert reply.is_problem("internal", 500)
    assert "secret" not in str(reply.body)


@pytest.mark.parametrize("how", ["database", "timeout"])
async def test_an_absent_database_is_503_with_retry_after_and_tells_nothing(ask: Any, how: str) -> None:
    reply = await ask("GET", f"/fails/{how}")
    assert reply.is_problem("unavailable", 503)
    assert reply.headers["retry-after"] == "1"
    assert "10.0.0.1" not in str(reply.body)
    assert "secret" not in str(reply.body)


async def test_an_unknown_path_is_404(ask: Any) -> None:
    assert (await ask("GET", "/nothing")).is_problem("not_found", 404)
    assert (await ask("GET", "/things/")).is_problem("not_found", 404)


async def test_a_method_that_the_path_does_not_know_is_405_and_names_those_that_it_knows(ask: Any) -> None:
    reply = await ask("PUT", "/things")
    assert reply.is_problem("method_not_allowed", 405)
    assert reply.headers["allow"] == "GET, POST"
    assert (await ask("PATCH", f"/things/{ID}")).headers["allow"] == "GET, PUT, DELETE"


async def test_a_malformed_id_in_the_path_is_400_and_names_the_parameter(ask: Any) -> None:
    reply = await ask("GET", "/things/0190d0a0-0000-7000-8000-00000000000g")
    assert reply.is_problem("invalid_request", 400)
    assert list(reply.errors()) == ["path.thing_id"]


async def test_a_missing_query_parameter_is_named(ask: Any) -> None:
    reply = await ask("GET", "/search")
    assert reply.is_problem("invalid_request", 400)
    assert reply.errors() == {"query.name": "is required"}


async def test_a_sane_request_id_is_echoed_on_successes_and_problems(ask: Any) -> None:
    for path in (f"/things/{ID}", "/nothing", "/fails/unexpectedly", "/things/x", "/search?name=%00"):
        reply = await ask("GET", path, headers={"X-Request-Id": "mine, and 1"})
        assert reply.headers["x-request-id"] == "mine, and 1"
        assert reply.body.get("request_id", "mine, and 1") == "mine, and 1"


@pytest.mark.parametrize("insane", ["x" * 129, "", " ", "a\tb", "\u00e9"])
async def test_a_request_id_that_is_not_sane_is_replaced(ask: Any, insane: str) -> None:
    reply = await ask("GET", f"/things/{ID}", headers={"X-Request-Id": insane})
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", _id(reply))


async def test_every_request_without_an_id_gets_one_of_its_own(ask: Any) -> None:
    assert _id(await ask("GET", "/nothing")) != _id(await ask("GET", "/nothing"))


@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/xml;q=0.9, text/*", "application/json;q=0", "*/*;q=0", "application/json;q=0, */*"],
)
async def test_a_caller_that_does_not_accept_json_gets_406(ask: Any, accept: str) -> None:
    assert (await ask("GET", f"/things/{ID}", headers={"Accept": accept})).is_problem("not_acceptable", 406)


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/*", "application/json", "text/html, application/json;q=0.1", "application/json;q=x", "", ";,"],
)
async def test_a_caller_that_accepts_json_among_others_gets_it(ask: Any, accept: str) -> None:
    expected = 406 if accept == ";," else 200
    assert (await ask("GET", f"/things/{ID}", headers={"Accept": accept})).status == expected


async def test_a_success_without_content_has_no_body(ask: Any) -> None:
    reply = await ask("DELETE", f"/things/{uuid4()}")
    assert (reply.status, reply.body) == (204, None)
    assert "content-type" not in reply.headers


async def test_decimals_travel_as_strings(ask: Any) -> None:
    assert (await ask("GET", f"/things/{ID}")).body == {"allocation_id": ID, "amount": "100.00"}
