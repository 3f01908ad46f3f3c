"""Commands on ledger portfolios: the same rules and results as over HTTP, and the consumer's four tests."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from shared.contracts import (
    PORTFOLIOS_COMMANDS,
    PORTFOLIOS_EVENTS,
    CommandAccepted,
    CommandRejected,
    CreatePortfolio,
    DeletePortfolio,
    PortfolioStatus,
    UpdatePortfolio,
    new_id,
)
from shared.kit.kafka import Kafka
from shared.kit.redrive import redrive
from shared.kit.unit_of_work import Database

from .bus import GROUP, Said, a_record, events, parked_with, replies_to, said_on, send
from .callers import Caller
from .ledger import DOCUMENTED, a_ledger, a_portfolio, id_in


def _place(base: str, portfolio_id: str | UUID | None = None) -> dict[str, Any]:
    _, _, _, organization, _, ledger, *_ = base.split("/")
    return {
        "portfolio_id": UUID(str(portfolio_id or new_id())),
        "organization_id": UUID(organization),
        "ledger_id": UUID(ledger),
    }


def _at(path: str) -> dict[str, Any]:
    return _place(path, id_in(path))


async def _answered(kafka: Kafka, caller: Caller, command: Any, **envelope: Any) -> Any:
    record = a_record(command, caller.client_id, **envelope)
    await send(kafka, record)
    (reply,) = await replies_to(kafka, [_id_of(record)], command.key)
    return reply.message


def _id_of(record: Any) -> str:
    return str(dict(record.headers)["ce_id"].decode())


async def test_commands_do_what_the_requests_do_and_are_answered_with_what_the_api_shows(
    caller: Caller, kafka: Kafka
) -> None:
    base = await a_ledger(caller)
    place = _place(base)
    path = f"{base}/{place['portfolio_id']}"
    status = PortfolioStatus(description="from the start")
    create = CreatePortfolio(
        **place, name="Savings", entity_id="e", status=status, metadata={"riskProfile": "low", "a": None}
    )
    created = await _answered(kafka, caller, create, id=f"c-{create.key}", correlation_id="story")
    shown = (await caller.get(path)).body
    assert isinstance(created, CommandAccepted)
    assert created.resource == shown
    assert shown["status"] == {"code": "ACTIVE", "description": "from the start"}
    assert shown["metadata"] == {"riskProfile": "low"}

    updated = await _answered(kafka, caller, UpdatePortfolio(**place, changes=json.loads(DOCUMENTED)))
    shown = (await caller.get(path)).body
    assert isinstance(updated, CommandAccepted)
    assert updated.resource == shown
    assert shown["metadata"] == {**json.loads(DOCUMENTED)["metadata"], "riskProfile": "medium"}

    deleted = await _answered(kafka, caller, DeletePortfolio(**place))
    assert isinstance(deleted, CommandAccepted)
    assert deleted.resource is None
    assert (await caller.get(path)).status == 404
    said = await events(kafka, PORTFOLIOS_EVENTS, create.key, 3)
    assert [each.type for each in said] == ["PortfolioCreated", "PortfolioUpdated", "PortfolioDeleted"]
    assert (said[0].envelope.correlation_id, said[0].envelope.causation_id) == ("story", f"c-{create.key}")


async def test_a_command_that_comes_twice_has_one_effect_and_the_same_answer_each_time(
    caller: Caller, kafka: Kafka
) -> None:
    path = await a_portfolio(caller)
    record = a_record(UpdatePortfolio(**_at(path), changes={"name": "New"}), caller.client_id)
    other = a_record(UpdatePortfolio(**_at(path), changes={"name": "Newer"}), caller.client_id)
    await send(kafka, record, record, other, record)
    replies = await replies_to(kafka, [_id_of(record), _id_of(other)], id_in(path), count=4)
    first, second, _, late = replies
    assert first.message == second.message == late.message
    assert (await caller.get(path)).body["name"] == "Newer"
    assert len(await events(kafka, PORTFOLIOS_EVENTS, id_in(path), 3)) == 3


async def test_what_is_not_for_the_consumer_is_parked_and_its_neighbours_are_done(caller: Caller, kafka: Kafka) -> None:
    path = await a_portfolio(caller)
    good = a_record(UpdatePortfolio(**_at(path), changes={"name": "New"}), caller.client_id)
    headers = [(name, b"ArchivePortfolio" if name == "ce_type" else value) for name, value in good.headers]
    await send(kafka, replace(good, headers=headers), good)
    await replies_to(kafka, [_id_of(good)], id_in(path))
    (told,) = await parked_with(kafka, id_in(path).encode())
    assert (told["parked-reason"], told["parked-topic"]) == ("unknown_type", PORTFOLIOS_COMMANDS.name)


async def test_a_command_that_fails_midway_leaves_nothing_behind_and_can_be_redriven(
    caller: Caller, kafka: Kafka, database: Database
) -> None:
    path = await a_portfolio(caller)
    before = (await caller.get(path)).body
    update = UpdatePortfolio(**_at(path), changes={"name": "New"})
    name = f"fails_{update.portfolio_id.hex}"
    await _execute(database, _FAIL_MIDWAY.format(key=update.key, name=name))
    record = a_record(update, caller.client_id)
    await send(kafka, record)
    (told,) = await parked_with(kafka, update.key.encode())
    assert told["parked-reason"] == "out_of_patience"
    assert (await caller.get(path)).body == before
    assert len(await said_on(kafka, PORTFOLIOS_EVENTS, update.key)) == 1

    await _execute(database, f"DROP TRIGGER {name} ON outbox")
    await redrive(kafka, GROUP, reason="out_of_patience")
    (reply,) = await replies_to(kafka, [_id_of(record)], update.key)
    assert isinstance(reply.message, CommandAccepted)
    assert (await caller.get(path)).body["name"] == "New"


#: Fails when the effect is written and its events are about to be: as a full disk or a defect would.
_FAIL_MIDWAY = """
DO $do$ BEGIN
    CREATE OR REPLACE FUNCTION fail_midway() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN RAISE EXCEPTION ''fails midway''; END';
    CREATE TRIGGER {name} BEFORE INSERT ON outbox FOR EACH ROW WHEN (NEW.key = '{key}')
    EXECUTE FUNCTION fail_midway();
END $do$
"""


async def _execute(database: Database, statement: str) -> None:
    async with database.unit_of_work() as work:
        await work.connection.execute(text(statement))


@pytest.mark.parametrize(
    ("changes", "code", "fields"),
    [
        ({"name": None}, "0047", ["body.changes.name"]),
        ({"id": "x"}, "0053", ["body.changes.id"]),
        ({"status": None}, "0047", ["body.changes.status"]),
        ({"metadata": {"k": {"nested": 1}}}, "0067", ["body.changes.metadata.k"]),
    ],
)
async def test_a_refused_patch_is_answered_with_the_problem_that_http_would_give(
    caller: Caller, kafka: Kafka, changes: dict[str, Any], code: str, fields: list[str]
) -> None:
    path = await a_portfolio(caller)
    rejected = await _answered(kafka, caller, UpdatePortfolio(**_at(path), changes=changes))
    assert isinstance(rejected, CommandRejected)
    over_http = (await caller.patch(path, changes)).body
    problem = rejected.problem
    assert (problem.type, problem.title, problem.status, problem.code) == tuple(
        over_http[member] for member in ("type", "title", "status", "code")
    )
    assert (problem.code, [error.location for error in problem.errors]) == (code, fields)
    assert [error.message for error in problem.errors] == [error["message"] for error in over_http["errors"]]


@pytest.mark.parametrize("changes", ['{"a\\u0000b": 1}', '{"metadata": {"a\\u0000b": "x"}}'])
async def test_a_field_whose_name_has_the_character_nul_is_refused_as_any_other_is(
    caller: Caller, kafka: Kafka, changes: str
) -> None:
    path = await a_portfolio(caller)
    record = a_record(UpdatePortfolio(**_at(path), changes={}), caller.client_id)
    await send(kafka, replace(record, value=record.value.replace(b"{}", changes.encode())))
    (reply,) = await replies_to(kafka, [_id_of(record)], id_in(path))
    assert isinstance(reply.message, CommandRejected)
    (error,) = reply.message.problem.errors
    assert error.location.endswith("a\N{REPLACEMENT CHARACTER}b")


async def test_commands_are_refused_for_the_reasons_of_the_requests(caller: Caller, kafka: Kafka) -> None:
    path = await a_portfolio(caller)
    named = await a_portfolio(caller)
    await caller.an_account(portfolio_id=id_in(named))
    await caller.delete(gone := await a_portfolio(caller))
    elsewhere = {**_at(path), "ledger_id": uuid4()}
    refused = [
        (CreatePortfolio(**_at(path), name="taken"), 409, None),
        (CreatePortfolio(**_at(gone), name="was deleted"), 409, None),
        (CreatePortfolio(**{**elsewhere, "portfolio_id": new_id()}, name="no such ledger"), 404, "0007"),
        (CreatePortfolio(**{**_at(path), "portfolio_id": new_id()}, name=""), 400, "0047"),
        (UpdatePortfolio(**elsewhere, changes={}), 404, "0007"),
        (UpdatePortfolio(**_at(gone), changes={}), 404, "0007"),
        (DeletePortfolio(**_at(named)), 409, None),
        (DeletePortfolio(**_at(gone)), 404, "0007"),
    ]
    for command, status, code in refused:
        rejected = await _answered(kafka, caller, command)
        assert isinstance(rejected, CommandRejected), command
        assert (rejected.problem.status, rejected.problem.code) == (status, code), command
    assert (await caller.get(path)).body["name"] == "Savings"


async def test_another_clients_command_is_rejected_as_if_nothing_were_there(
    caller: Caller, stranger: Caller, kafka: Kafka
) -> None:
    path = await a_portfolio(caller)
    theirs = {**_at(path), "portfolio_id": new_id()}
    for command in (
        UpdatePortfolio(**_at(path), changes={"name": "theirs"}),
        DeletePortfolio(**_at(path)),
        CreatePortfolio(**theirs, name="theirs"),
    ):
        rejected = await _answered(kafka, stranger, command)
        assert isinstance(rejected, CommandRejected)
        assert rejected.problem.status == 404
    assert (await caller.get(path)).body["name"] == "Savings"


async def test_a_command_with_a_bad_body_is_answered_by_field(caller: Caller, kafka: Kafka) -> None:
    path = await a_portfolio(caller)
    record = a_record(UpdatePortfolio(**_at(path), changes={}), caller.client_id)
    await send(kafka, replace(record, value=json.dumps({**json.loads(record.value), "name": "outside"}).encode()))
    (reply,) = await replies_to(kafka, [_id_of(record)], id_in(path))
    assert isinstance(reply.message, CommandRejected)
    assert [error.location for error in reply.message.problem.errors] == ["name"]


async def test_patches_by_command_and_by_request_at_once_never_lose_each_others_halves(
    caller: Caller, kafka: Kafka
) -> None:
    path = await a_portfolio(caller)
    commands = [UpdatePortfolio(**_at(path), changes={"metadata": {f"c{n}": n}}) for n in range(10)]
    records = [a_record(command, caller.client_id) for command in commands]
    sending = asyncio.create_task(send(kafka, *records))
    await asyncio.gather(*(caller.patch(path, {"metadata": {f"r{n}": n}}) for n in range(10)))
    await sending
    await replies_to(kafka, [_id_of(record) for record in records], id_in(path), count=10)
    after = (await caller.get(path)).body["metadata"]
    assert after == {f"{way}{n}": n for way in "cr" for n in range(10)}
    said: list[Said] = await events(kafka, PORTFOLIOS_EVENTS, id_in(path), 21)
    assert [each.message.model_dump()["revision"] for each in said] == list(range(1, 22))


async def test_commands_for_one_portfolio_in_one_batch_are_decided_each_on_what_the_one_before_has_left(
    caller: Caller, kafka: Kafka
) -> None:
    base = await a_ledger(caller)
    place = _place(base)
    commands = [
        UpdatePortfolio(**place, changes={}),
        CreatePortfolio(**place, name="Savings"),
        CreatePortfolio(**place, name="Savings"),
        UpdatePortfolio(**place, changes={"name": None}),
        UpdatePortfolio(**place, changes={"name": "New"}),
        DeletePortfolio(**place),
        UpdatePortfolio(**place, changes={}),
        DeletePortfolio(**place),
        CreatePortfolio(**place, name="Savings"),
    ]
    records = [a_record(command, caller.client_id) for command in commands]
    await send(kafka, *records)
    replies = await replies_to(kafka, [_id_of(record) for record in records], commands[0].key, count=len(records))
    statuses = [getattr(getattr(reply.message, "problem", None), "status", 200) for reply in replies]
    assert statuses == [404, 200, 409, 400, 200, 200, 404, 404, 409]
    said = await events(kafka, PORTFOLIOS_EVENTS, commands[0].key, 3)
    assert [each.type for each in said] == ["PortfolioCreated", "PortfolioUpdated", "PortfolioDeleted"]
