"""Accounts over HTTP, and what is announced of them."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from shared.contracts import ACCOUNTS_EVENTS, AccountState
from shared.kit.kafka import Kafka

from .bus import events, said_on
from .callers import Caller

USER = "11111111-2222-4333-8444-555555555555"


async def test_an_opened_account_is_shown_where_the_answer_says(caller: Caller) -> None:
    opened = await caller.post("/accounts", {"user_id": USER, "type": "PORTFOLIO", "name": "Savings"})
    assert opened.status == 201
    shown = {"user_id": USER, "type": "PORTFOLIO", "status": "ACTIVE", "name": "Savings", "portfolio_id": None}
    assert opened.body | shown == opened.body
    assert opened.headers["Location"] == f"/accounts/{opened.body['account_id']}"
    assert (await caller.get(opened.headers["Location"])).body == opened.body


async def test_opening_and_changing_are_announced_in_order_with_the_whole_account(caller: Caller, kafka: Kafka) -> None:
    request_id = f"request-{uuid4()}"
    opened = await caller.post("/accounts", {"user_id": USER, "type": "TRADING"}, **{"X-Request-Id": request_id})
    account_id = opened.body["account_id"]
    await caller.patch(f"/accounts/{account_id}", {"status": "LOCKED", "name": "x"})
    changed = await caller.patch(f"/accounts/{account_id}", {"name": None})

    first, second, third = await events(kafka, ACCOUNTS_EVENTS, account_id, 3)
    assert [each.type for each in (first, second, third)] == ["AccountCreated", "AccountUpdated", "AccountUpdated"]
    assert _told(first) == {**opened.body, "revision": 1}
    assert _told(third) == {**changed.body, "revision": 3}
    assert (first.envelope.client_id, first.envelope.correlation_id) == (caller.client_id, request_id)
    assert first.envelope.source == "/config_service"


def _told(said: Any) -> dict[str, Any]:
    assert isinstance(said.message, AccountState)
    return said.message.model_dump(mode="json")


@pytest.mark.parametrize("status", ["ACTIVE", "PENDING_APPROVAL"])
async def test_an_account_may_be_opened_active_or_pending_approval(caller: Caller, status: str) -> None:
    answer = await caller.post("/accounts", {"user_id": USER, "type": "PORTFOLIO", "status": status})
    assert (answer.status, answer.body["status"]) == (201, status)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": "LOCKED"}, "body.status"),
        ({"status": None}, "body.status"),
        ({"type": "OTHER"}, "body.type"),
        ({"user_id": 1}, "body.user_id"),
        ({"user_id": "x"}, "body.user_id"),
        ({"name": ""}, "body.name"),
        ({"name": "x" * 257}, "body.name"),
        ({"name": "a\0b"}, "body.name"),
        ({"revision": 1}, "body.revision"),
    ],
)
async def test_a_bad_account_is_refused_by_field_and_not_opened(
    caller: Caller, change: dict[str, Any], field: str
) -> None:
    refused = await caller.post("/accounts", {"user_id": USER, "type": "PORTFOLIO", **change})
    assert (refused.status, refused.at_fault) == (400, [field])
    assert (await caller.get("/accounts")).body["data"] == []


async def test_a_patch_changes_what_it_names_and_nothing_else(caller: Caller) -> None:
    account_id = await caller.an_account(name="Savings")
    path = f"/accounts/{account_id}"
    locked = await caller.patch(path, {"status": "LOCKED"})
    assert (locked.status, locked.body["status"], locked.body["name"]) == (200, "LOCKED", "Savings")
    unnamed = await caller.patch(path, {"name": None})
    assert (unnamed.body["status"], unnamed.body["name"]) == ("LOCKED", None)
    assert unnamed.body["updated_at"] > locked.body["updated_at"] > locked.body["created_at"]
    assert (await caller.get(path)).body == unnamed.body


async def test_a_patch_that_changes_nothing_announces_nothing(caller: Caller, kafka: Kafka) -> None:
    account_id = await caller.an_account()
    for body in ({}, {"status": "ACTIVE"}, {"name": None}):
        assert (await caller.patch(f"/accounts/{account_id}", body)).status == 200
    await caller.patch(f"/accounts/{account_id}", {"name": "last"})
    said = await events(kafka, ACCOUNTS_EVENTS, account_id, 2)
    assert [each.message.model_dump()["revision"] for each in said] == [1, 2]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"status": None}, "body.status"), ({"status": "OPEN"}, "body.status"), ({"type": "TRADING"}, "body.type")],
)
async def test_what_cannot_be_changed_is_refused_by_field(caller: Caller, body: dict[str, Any], field: str) -> None:
    refused = await caller.patch(f"/accounts/{await caller.an_account()}", body)
    assert (refused.status, refused.at_fault) == (400, [field])


async def test_closed_is_final(caller: Caller) -> None:
    path = f"/accounts/{await caller.an_account()}"
    assert (await caller.patch(path, {"status": "CLOSED"})).status == 200
    refused = await caller.patch(path, {"status": "ACTIVE"})
    assert (refused.status, refused.body["type"]) == (409, "/problems/conflict")
    assert (await caller.get(path)).body["status"] == "CLOSED"


async def test_a_configured_account_cannot_be_closed_until_its_configuration_is_deleted(caller: Caller) -> None:
    account_id = (await caller.a_configuration())["account_id"]
    assert (await caller.patch(f"/accounts/{account_id}", {"status": "CLOSED"})).status == 409
    await caller.delete(f"/portfolios/configurations/{account_id}")
    assert (await caller.patch(f"/accounts/{account_id}", {"status": "CLOSED"})).status == 200


async def test_closing_and_configuring_at_once_never_leave_a_closed_account_configured(caller: Caller) -> None:
    allocation_id = await caller.an_allocation()
    for _ in range(10):
        account_id = await caller.an_account()
        link = {"account_id": account_id, "allocation_id": allocation_id}
        closed, configured = await asyncio.gather(
            caller.patch(f"/accounts/{account_id}", {"status": "CLOSED"}),
            caller.post("/portfolios/configurations", link),
        )
        assert (closed.status, configured.status) in {(200, 422), (409, 201)}


async def test_a_portfolio_that_does_not_exist_is_404_by_field(caller: Caller) -> None:
    named = {"portfolio_id": str(uuid4())}
    opened = await caller.post("/accounts", {"user_id": USER, "type": "PORTFOLIO", **named})
    patched = await caller.patch(f"/accounts/{await caller.an_account()}", named)
    for answer in (opened, patched):
        assert (answer.status, answer.at_fault) == (404, ["body.portfolio_id"])


async def test_another_clients_account_is_404_to_read_and_to_change(caller: Caller, stranger: Caller) -> None:
    path = f"/accounts/{await caller.an_account()}"
    assert (await stranger.get(path)).status == 404
    assert (await stranger.patch(path, {"status": "CLOSED"})).status == 404
    assert (await stranger.get("/accounts")).body["meta"]["total_count"] == 0
    assert (await caller.get(path)).body["status"] == "ACTIVE"


async def test_an_account_id_that_is_no_uuid_is_400_and_an_unknown_one_404(caller: Caller) -> None:
    assert (await caller.get("/accounts/x")).at_fault == ["path.account_id"]
    assert (await caller.get(f"/accounts/{uuid4()}")).status == 404


async def test_accounts_are_listed_page_by_page_in_either_order(caller: Caller) -> None:
    opened = [await caller.an_account() for _ in range(3)]
    page = await caller.get("/accounts?limit=2&offset=1")
    assert [account["account_id"] for account in page.body["data"]] == opened[1:]
    meta = {"offset": 1, "limit": 2, "count": 2, "total_count": 3, "sort": "created_at", "order": "asc"}
    assert page.body["meta"] == {**meta, "next_cursor": None}
    newest = await caller.get("/accounts?limit=1&order=desc")
    assert [account["account_id"] for account in newest.body["data"]] == opened[-1:]
    assert (await caller.get("/accounts?sort=name")).at_fault == ["query.sort"]


async def test_changes_at_once_are_announced_in_the_order_of_their_revisions(caller: Caller, kafka: Kafka) -> None:
    account_id = await caller.an_account()
    await asyncio.gather(*(caller.patch(f"/accounts/{account_id}", {"name": f"name {n}"}) for n in range(20)))
    said = await events(kafka, ACCOUNTS_EVENTS, account_id, 21)
    told = [_told(each) for each in said]
    assert [each["revision"] for each in told] == list(range(1, 22))
    assert sorted(each["updated_at"] for each in told) == [each["updated_at"] for each in told]
    assert (await caller.get(f"/accounts/{account_id}")).body["name"] == told[-1]["name"]
    assert await said_on(kafka, ACCOUNTS_EVENTS, account_id.upper()) == []
