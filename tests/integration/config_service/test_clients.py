"""Clients over HTTP: a task for ops, which sees them all."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from sqlalchemy import text

from deploy.local.services import RunningSystem
from services.config_service.domain import MAX_SECRETS, Credentials
from shared.contracts import CLIENTS_EVENTS, ClientState
from shared.kit.kafka import Kafka
from shared.kit.unit_of_work import Database

from .bus import events
from .callers import Caller
from .conftest import NAME, NewCaller

CLIENTS = "/clients"
NEW = {"name": "Example Broker", "scopes": ["portfolios:read", "accounts:admin"]}


@pytest.fixture
async def ops(new_caller: NewCaller) -> Caller:
    """A client of the people who run the system."""
    return await new_caller("ops:admin")


@pytest.fixture
def signing_in(session: aiohttp.ClientSession) -> Callable[[dict[str, Any]], Caller]:
    """The client that an answer of POST /clients has made."""
    return lambda made: Caller(session, Credentials(made["client_id"], made["client_secret"]))


async def a_client(ops: Caller, **changes: Any) -> dict[str, Any]:
    answer = await ops.post(CLIENTS, {**NEW, **changes})
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.body
    return made


def without_secret(made: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in made.items() if field != "client_secret"}


async def test_a_client_that_was_made_signs_in_with_the_secret_that_was_shown_once(
    ops: Caller, signing_in: Callable[[dict[str, Any]], Caller]
) -> None:
    made = await ops.post(CLIENTS, NEW)
    path = f"{CLIENTS}/{made.body['client_id']}"
    assert (made.status, made.headers["Location"], made.headers["ETag"]) == (201, path, '"1"')
    assert (made.body["name"], made.body["scopes"]) == (NEW["name"], sorted(NEW["scopes"]))
    token = await signing_in(made.body).token()
    assert (token.status, token.body["scope"]) == (200, "accounts:admin portfolios:read")
    shown = await ops.get(path)
    assert (shown.body, shown.headers["ETag"]) == (without_secret(made.body), '"1"')


async def test_a_client_is_made_once_under_a_key_and_its_secret_is_not_shown_again(ops: Caller) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first, second = await ops.post(CLIENTS, NEW, **key), await ops.post(CLIENTS, NEW, **key)
    assert first.body["client_secret"] is not None
    assert second.body == {**first.body, "client_secret": None}
    assert second.headers["Idempotency-Replayed"] == "true"


async def test_a_client_may_be_made_without_a_key(ops: Caller, session: aiohttp.ClientSession) -> None:
    async with session.post(CLIENTS, json=NEW, headers=ops.headers) as answer:
        assert answer.status == 201


async def test_ops_sees_every_client_and_nobody_else_sees_any(ops: Caller, caller: Caller) -> None:
    path = f"{CLIENTS}/{caller.client_id}"
    assert (await ops.get(path)).body["client_id"] == str(caller.client_id)
    newest = await ops.get(f"{CLIENTS}?order=desc&limit=1000")
    assert str(caller.client_id) in [each["client_id"] for each in newest.body["data"]]
    for answer in (await caller.get(path), await caller.get(CLIENTS), await caller.post(CLIENTS, NEW)):
        assert answer.status == 403
    assert (await caller.delete(path)).status == 403


async def test_ops_read_may_look_and_not_touch(new_caller: NewCaller) -> None:
    reader = await new_caller("ops:read")
    path = f"{CLIENTS}/{reader.client_id}"
    assert (await reader.get(path)).status == 200
    touched = [
        await reader.post(CLIENTS, NEW),
        await reader.patch(path, {"name": "x"}),
        await reader.post(f"{path}/secret/rotate", {}),
        await reader.delete(path),
    ]
    assert [answer.status for answer in touched] == [403] * 4


async def test_a_changed_client_gets_tokens_with_its_new_scopes(
    ops: Caller, signing_in: Callable[[dict[str, Any]], Caller]
) -> None:
    made = await a_client(ops)
    path = f"{CLIENTS}/{made['client_id']}"
    changed = await ops.patch(path, {"scopes": ["orders:read"]})
    assert (changed.body["name"], changed.body["scopes"]) == (made["name"], ["orders:read"])
    assert (await signing_in(made).token()).body["scope"] == "orders:read"
    renamed = await ops.patch(path, {"name": "Another"})
    assert (renamed.body["name"], renamed.body["scopes"], renamed.headers["ETag"]) == (
        "Another",
        ["orders:read"],
        '"3"',
    )


async def test_both_secrets_work_while_they_overlap_and_the_old_one_only_for_the_stated_time(
    ops: Caller, signing_in: Callable[[dict[str, Any]], Caller], database: Database
) -> None:
    made = await a_client(ops)
    rotated = await ops.post(f"{CLIENTS}/{made['client_id']}/secret/rotate", {"overlap_seconds": 3600.0})
    assert rotated.status == 200
    old, new = signing_in(made), signing_in({**made, **rotated.body})
    assert [(await each.token()).status for each in (old, new)] == [200, 200]

    valid = text("SELECT valid_until FROM client_secrets WHERE client_id = :id AND valid_until IS NOT NULL")
    end = text(
        "UPDATE client_secrets SET valid_until = clock_timestamp() WHERE client_id = :id AND valid_until > now()"
    )
    async with database.unit_of_work() as work:
        until = (await work.connection.execute(valid, {"id": made["client_id"]})).scalar_one()
        assert rotated.body["overlap_until"] == f"{until:%Y-%m-%dT%H:%M:%S.%f}Z"
        await work.connection.execute(end, {"id": made["client_id"]})
    assert [(await each.token()).status for each in (old, new)] == [401, 200]


async def test_without_an_overlap_the_old_secret_stops_at_once(
    ops: Caller, signing_in: Callable[[dict[str, Any]], Caller]
) -> None:
    made = await a_client(ops)
    rotated = await ops.post(f"{CLIENTS}/{made['client_id']}/secret/rotate", {"overlap_seconds": 0})
    assert rotated.body["overlap_until"] is None
    assert (await signing_in(made).token()).status == 401
    assert (await signing_in({**made, **rotated.body}).token()).status == 200


async def test_a_rotation_whose_answer_was_lost_and_is_asked_for_again_does_not_stop_the_secret_in_use(
    ops: Caller, signing_in: Callable[[dict[str, Any]], Caller]
) -> None:
    made = await a_client(ops)
    path = f"{CLIENTS}/{made['client_id']}/secret/rotate"
    assert (await ops.post_nothing(path)).status == 200, "a day of overlap unless another is asked for"
    assert (await ops.post_nothing(path)).status == 200
    assert (await signing_in(made).token()).status == 200


async def test_secrets_that_overlap_are_not_piled_up(ops: Caller) -> None:
    path = f"{CLIENTS}/{(await a_client(ops))['client_id']}/secret/rotate"
    for _ in range(MAX_SECRETS - 1):
        assert (await ops.post(path, {})).status == 200
    refused = await ops.post(path, {})
    assert (refused.status, refused.body["type"]) == (409, "/problems/conflict")
    assert (await ops.post(path, {"overlap_seconds": 0})).status == 200


async def test_a_revoked_client_gets_no_token_and_stays_revoked(
    ops: Caller, signing_in: Callable[[dict[str, Any]], Caller]
) -> None:
    made = await a_client(ops)
    path = f"{CLIENTS}/{made['client_id']}"
    revoked = await ops.delete(path)
    assert (revoked.status, revoked.body) == (204, None)
    assert (await signing_in(made).token()).status == 401
    gone = [
        await ops.get(path),
        await ops.patch(path, {"name": "x"}),
        await ops.post(f"{path}/secret/rotate", {}),
        await ops.delete(path),
    ]
    assert [answer.status for answer in gone] == [404] * 4


async def revoked(ops: Caller, client_id: str) -> dict[str, Any]:
    """The client as the list of the revoked shows it."""
    listed = (await ops.get(f"{CLIENTS}?revoked=true&order=desc&limit=1000")).body["data"]
    return next(each for each in listed if each["client_id"] == client_id)


async def test_revoked_clients_are_listed_apart(ops: Caller) -> None:
    client_id = (await a_client(ops))["client_id"]
    await ops.delete(f"{CLIENTS}/{client_id}")
    shown = await revoked(ops, client_id)
    assert shown["revoked_at"] == shown["updated_at"] > shown["created_at"]
    others = (await ops.get(f"{CLIENTS}?order=desc&limit=1000")).body["data"]
    assert client_id not in [each["client_id"] for each in others]


async def test_every_change_of_a_client_is_announced_without_its_secret(ops: Caller, kafka: Kafka) -> None:
    made = await a_client(ops)
    client_id = made["client_id"]
    path = f"{CLIENTS}/{client_id}"
    await ops.patch(path, {"name": "Another"})
    await ops.patch(path, {"name": "Another"})
    rotated = await ops.post(f"{path}/secret/rotate", {})
    await ops.delete(path)

    said = await events(kafka, CLIENTS_EVENTS, client_id, 3)
    assert [each.type for each in said] == ["ClientCreated", "ClientChanged", "ClientRevoked"]
    told = [each.message.model_dump(mode="json") for each in said]
    assert told[0] == {**without_secret(made), "revision": 1}
    assert told[2] == {**await revoked(ops, client_id), "revision": 3}
    assert {str(each.envelope.client_id) for each in said} == {client_id}
    for secret in (made["client_secret"], rotated.body["client_secret"]):
        assert all(secret not in each.message.model_dump_json() for each in said)


async def test_a_client_that_the_command_line_makes_is_announced_as_well(caller: Caller, kafka: Kafka) -> None:
    (said,) = await events(kafka, CLIENTS_EVENTS, str(caller.client_id), 1)
    assert isinstance(said.message, ClientState)
    assert (said.type, list(said.message.scopes)) == ("ClientCreated", ["accounts:admin", "portfolios:admin"])


async def test_every_change_leaves_one_line_in_the_log_that_says_who_made_it(
    ops: Caller, system: RunningSystem
) -> None:
    made = await a_client(ops)
    path = f"{CLIENTS}/{made['client_id']}"
    await ops.patch(path, {"name": "Another"})
    rotated = await ops.post(f"{path}/secret/rotate", {})
    await ops.delete(path)
    await ops.delete(path)

    written = [line for line in _log_of(system) if f'"{made["client_id"]}"' in line and '"audit"' in line]
    told = [json.loads(line) for line in written]
    assert [line["event"] for line in told if line.get("audit")] == [
        "client created",
        "client changed",
        "client secret rotated",
        "client revoked",
    ]
    assert {line["by"] for line in told} == {str(ops.client_id)}
    assert all(line["request_id"] for line in told)
    assert not any(secret in "".join(written) for secret in (made["client_secret"], rotated.body["client_secret"]))


def _log_of(system: RunningSystem) -> list[str]:
    return Path(system.services[NAME].log).read_text(encoding="utf-8").splitlines()


async def test_a_change_for_another_revision_is_refused_and_leaves_the_client_as_it_is(ops: Caller) -> None:
    made = await a_client(ops)
    path = f"{CLIENTS}/{made['client_id']}"
    for refused in (await ops.patch(path, {"name": "x"}, if_match='"2"'), await ops.delete(path, if_match='"2"')):
        assert (refused.status, refused.body["type"]) == (412, "/problems/precondition_failed")
    assert (await ops.get(path)).body == without_secret(made)
    assert (await ops.patch(path, {"name": "x"}, if_match='"1"')).status == 200


async def test_changes_at_once_lose_no_halves_of_each_other(ops: Caller) -> None:
    for _ in range(5):
        path = f"{CLIENTS}/{(await a_client(ops))['client_id']}"
        await asyncio.gather(ops.patch(path, {"name": "new"}), ops.patch(path, {"scopes": ["ops:read"]}))
        shown = (await ops.get(path)).body
        assert (shown["name"], shown["scopes"]) == ("new", ["ops:read"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "body.name"),
        ({"name": None}, "body.name"),
        ({"scopes": []}, "body.scopes"),
        ({"scopes": None}, "body.scopes"),
        ({"scopes": ["accounts:write"]}, "body.scopes.0"),
        ({"scopes": "accounts:read"}, "body.scopes"),
        ({"client_secret": "mine"}, "body.client_secret"),
    ],
)
async def test_a_bad_client_is_refused_by_field(ops: Caller, body: dict[str, Any], field: str) -> None:
    made = await ops.post(CLIENTS, {**NEW, **body})
    changed = await ops.patch(f"{CLIENTS}/{ops.client_id}", body)
    for refused in (made, changed):
        assert (refused.status, refused.at_fault) == (400, [field])


@pytest.mark.parametrize("overlap", [-1, 31 * 86_400, "1", None, 1.5])
async def test_an_overlap_that_is_none_is_refused_by_field(ops: Caller, overlap: Any) -> None:
    refused = await ops.post(f"{CLIENTS}/{ops.client_id}/secret/rotate", {"overlap_seconds": overlap})
    assert (refused.status, refused.at_fault) == (400, ["body.overlap_seconds"])


async def test_a_client_that_is_not_there_is_404(ops: Caller) -> None:
    path = f"{CLIENTS}/{uuid4()}"
    answers = [
        await ops.get(path),
        await ops.patch(path, {}),
        await ops.post(f"{path}/secret/rotate", {}),
        await ops.delete(path),
    ]
    assert [answer.status for answer in answers] == [404] * 4
