"""Commands on configurations, by `config_service.commands`: the consumer's four tests and more."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from shared.contracts import (
    CONFIGURATIONS_COMMANDS,
    CONFIGURATIONS_EVENTS,
    AccountCreated,
    ChangeConfiguration,
    CommandAccepted,
    CommandRejected,
    CreateConfiguration,
    DeleteConfiguration,
    Record,
    new_envelope,
    to_record,
)
from shared.kit.kafka import Kafka
from shared.kit.redrive import redrive
from shared.kit.unit_of_work import Database
from tests.unit.contracts.messages import a_body

from .bus import GROUP, a_record, events, parked_with, replies_to, said_on, send
from .callers import Caller


async def _create(caller: Caller, account_id: str | None = None) -> CreateConfiguration:
    return CreateConfiguration(
        account_id=UUID(account_id or await caller.an_account()), allocation_id=UUID(await caller.an_allocation())
    )


async def _configuration(caller: Caller, command: CreateConfiguration) -> Any:
    return (await caller.get(f"/portfolios/configurations/{command.account_id}")).body


async def test_a_command_does_what_the_request_does_and_is_answered_with_what_the_api_shows(
    caller: Caller, kafka: Kafka
) -> None:
    create = await _create(caller)
    delete = DeleteConfiguration(account_id=create.account_id)
    await send(kafka, a_record(create, caller.client_id, id="c1", correlation_id="story"))
    (created,) = await replies_to(kafka, ["c1"], create.key)
    shown = await _configuration(caller, create)
    await send(kafka, a_record(delete, caller.client_id, id="d1"))
    (deleted,) = await replies_to(kafka, ["d1"], create.key)

    assert isinstance(created.message, CommandAccepted)
    assert created.message.resource == shown
    assert (created.message.command_type, created.message.command_key) == ("CreateConfiguration", create.key)
    assert isinstance(deleted.message, CommandAccepted)
    assert deleted.message.resource is None
    assert (await caller.get(f"/portfolios/configurations/{create.account_id}")).status == 404
    first, second = await events(kafka, CONFIGURATIONS_EVENTS, create.key, 2)
    assert (first.type, second.type) == ("ConfigurationCreated", "ConfigurationDeleted")
    assert (first.envelope.correlation_id, first.envelope.causation_id) == ("story", "c1")
    assert (first.envelope.client_id, second.envelope.causation_id) == (caller.client_id, "d1")


async def test_a_command_switches_the_target_and_is_answered_with_what_http_shows(caller: Caller, kafka: Kafka) -> None:
    configuration = await caller.a_configuration()
    account_id, target = UUID(configuration["account_id"]), UUID(await caller.an_allocation())
    change = ChangeConfiguration(account_id=account_id, allocation_id=target)
    await send(kafka, a_record(change, caller.client_id, id="t1", correlation_id="story"))
    (reply,) = await replies_to(kafka, ["t1"], change.key)

    assert isinstance(reply.message, CommandAccepted)
    shown = (await caller.get(f"/portfolios/configurations/{account_id}")).body
    assert reply.message.resource == shown
    assert (shown["allocation_id"], shown["version"]) == (str(target), configuration["version"])
    _, changed = await events(kafka, CONFIGURATIONS_EVENTS, change.key, 2)
    assert (changed.type, changed.envelope.causation_id) == ("ConfigurationChanged", "t1")
    # Under another id the same is accepted again, and announces nothing, since nothing changes.
    await send(kafka, a_record(change, caller.client_id, id="t2"))
    (again,) = await replies_to(kafka, ["t2"], change.key)
    assert isinstance(again.message, CommandAccepted)
    assert again.message.resource == shown
    assert len(await said_on(kafka, CONFIGURATIONS_EVENTS, change.key)) == 2


async def test_a_refused_change_is_answered_with_the_problem_that_http_would_give(
    caller: Caller, stranger: Caller, kafka: Kafka
) -> None:
    configuration = await caller.a_configuration()
    account_id = UUID(configuration["account_id"])
    unconfigured, target = UUID(await caller.an_account()), UUID(await caller.an_allocation())
    asked = {
        "u1": ChangeConfiguration(account_id=unconfigured, allocation_id=target),
        "u2": ChangeConfiguration(account_id=account_id, allocation_id=uuid4()),
        "u3": ChangeConfiguration(account_id=account_id, allocation_id=UUID(await stranger.an_allocation())),
    }
    await send(kafka, *(a_record(command, caller.client_id, id=id_) for id_, command in asked.items()))
    for id_, command in asked.items():
        (reply,) = await replies_to(kafka, [id_], command.key)
        assert isinstance(reply.message, CommandRejected)
        problem = reply.message.problem
        path = f"/portfolios/configurations/{command.account_id}"
        over_http = await caller.patch(path, {"allocation_id": str(command.allocation_id)})
        assert over_http.status == problem.status == 404
        assert (over_http.body["type"], over_http.body["detail"]) == (problem.type, problem.detail)
    assert len(await said_on(kafka, CONFIGURATIONS_EVENTS, configuration["account_id"])) == 1


async def test_a_command_that_comes_twice_has_one_effect_and_the_same_answer_each_time(
    caller: Caller, kafka: Kafka
) -> None:
    create = await _create(caller)
    record, delete = a_record(create, caller.client_id, id="c2"), DeleteConfiguration(account_id=create.account_id)
    # The late copy comes after the deletion, when the same command under another id would configure anew.
    await send(kafka, record, record, a_record(delete, caller.client_id, id="d2"), record)
    replies = await replies_to(kafka, ["c2", "d2"], create.key, count=4)

    assert [each.type for each in replies] == ["CommandAccepted"] * 4
    first, second, _, late = replies
    assert first.message == second.message == late.message
    assert first.envelope.id == second.envelope.id == late.envelope.id
    said = await events(kafka, CONFIGURATIONS_EVENTS, create.key, 2)
    assert [each.type for each in said] == ["ConfigurationCreated", "ConfigurationDeleted"]


async def test_what_is_not_for_the_consumer_is_parked_and_its_neighbours_are_done(caller: Caller, kafka: Kafka) -> None:
    create = await _create(caller)
    good = a_record(create, caller.client_id, id="c3")
    foreign = AccountCreated.model_validate_json(_json(a_body("AccountCreated", account_id=create.key)))
    event = a_record_of_event(foreign, caller.client_id)
    unknown = _with_header(good, "ce_type", b"ConfigureEverything")
    await send(kafka, event, unknown, good)

    await replies_to(kafka, ["c3"], create.key)
    assert (await _configuration(caller, create))["version"] == 1
    told = await parked_with(kafka, create.key.encode(), count=2)
    assert [each["parked-reason"] for each in told] == ["wrong_topic", "unknown_type"]
    assert {each["parked-topic"] for each in told} == {CONFIGURATIONS_COMMANDS.name}


async def test_a_command_that_fails_midway_leaves_nothing_behind_and_can_be_redriven(
    caller: Caller, kafka: Kafka, database: Database
) -> None:
    create, neighbour = await _create(caller), await _create(caller)
    await _execute(database, _FAIL_MIDWAY.format(key=create.key, name=f"fails_{create.account_id.hex}"))
    await send(kafka, a_record(create, caller.client_id, id="c4"), a_record(neighbour, caller.client_id, id="n4"))

    await replies_to(kafka, ["n4"], neighbour.key)
    (told,) = await parked_with(kafka, create.key.encode())
    assert told["parked-reason"] == "out_of_patience"
    assert (await _configuration(caller, create))["status"] == 404
    left = """
        SELECT (SELECT count(*) FROM configurations WHERE account_id = :account_id)
             + (SELECT count(*) FROM command_inbox WHERE client_id = :client_id AND id = 'c4')
    """
    known = {"account_id": create.account_id, "client_id": caller.client_id}
    assert (await _execute(database, left, **known)).scalar_one() == 0
    assert await said_on(kafka, CONFIGURATIONS_EVENTS, create.key) == []

    await _execute(database, f"DROP TRIGGER fails_{create.account_id.hex} ON outbox")
    await redrive(kafka, GROUP, reason="out_of_patience")
    (reply,) = await replies_to(kafka, ["c4"], create.key)
    assert isinstance(reply.message, CommandAccepted)
    assert (await _configuration(caller, create))["version"] == 1


#: Fails when the effect is written and its events are about to be: as a full disk or a defect would.
_FAIL_MIDWAY = """
DO $do$ BEGIN
    CREATE OR REPLACE FUNCTION fail_midway() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN RAISE EXCEPTION ''fails midway''; END';
    CREATE TRIGGER {name} BEFORE INSERT ON outbox FOR EACH ROW WHEN (NEW.key = '{key}')
    EXECUTE FUNCTION fail_midway();
END $do$
"""


async def test_a_refused_command_is_answered_with_the_problem_that_http_would_give(
    caller: Caller, kafka: Kafka
) -> None:
    create = await _create(caller)
    trading = await _create(caller, await caller.an_account(type="TRADING"))
    nowhere = create.model_copy(update={"account_id": uuid4()})
    without = create.model_copy(update={"allocation_id": uuid4()})
    delete = DeleteConfiguration(account_id=create.account_id)
    asked = {"r1": trading, "r2": nowhere, "r3": without, "r4": delete}
    await send(kafka, *(a_record(command, caller.client_id, id=id_) for id_, command in asked.items()))

    for (id_, command), status in zip(asked.items(), (422, 404, 404, 404), strict=True):
        (reply,) = await replies_to(kafka, [id_], command.key)
        assert isinstance(reply.message, CommandRejected)
        assert reply.message.problem.status == status
        if isinstance(command, CreateConfiguration):
            over_http = await caller.post("/portfolios/configurations", command.model_dump(mode="json"))
            shown = (over_http.body["type"], over_http.body["title"], over_http.body["detail"])
            problem = reply.message.problem
            assert shown == (problem.type, problem.title, problem.detail)
    assert await said_on(kafka, CONFIGURATIONS_EVENTS, create.key) == []


async def test_a_second_command_for_a_configured_account_is_rejected_in_the_same_batch(
    caller: Caller, kafka: Kafka
) -> None:
    create = await _create(caller)
    records = [a_record(create, caller.client_id, id=f"twice-{n}-{create.key}") for n in range(2)]
    await send(kafka, *records)
    ids = [f"twice-{n}-{create.key}" for n in range(2)]
    accepted, rejected = await replies_to(kafka, ids, create.key, count=2)
    assert isinstance(accepted.message, CommandAccepted)
    assert isinstance(rejected.message, CommandRejected)
    assert rejected.message.problem.status == 409
    assert len(await said_on(kafka, CONFIGURATIONS_EVENTS, create.key)) == 1


async def test_another_clients_command_is_rejected_as_if_nothing_were_there(
    caller: Caller, stranger: Caller, kafka: Kafka
) -> None:
    configuration = await caller.a_configuration()
    delete = DeleteConfiguration(account_id=UUID(configuration["account_id"]))
    await send(kafka, a_record(delete, stranger.client_id, id="s1"))
    (reply,) = await replies_to(kafka, ["s1"], delete.key)
    assert isinstance(reply.message, CommandRejected)
    assert reply.message.problem.status == 404
    assert reply.envelope.client_id == stranger.client_id
    assert (await caller.get(f"/portfolios/configurations/{delete.account_id}")).body == configuration


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"allocation_id": "24c230eb-5d4f-4462-9af8-6612e7bd3afg"}, "allocation_id"),
        ({"version": 1}, "version"),
        ({"account_id": str(uuid4())}, "account_id"),
    ],
)
async def test_a_command_with_a_bad_body_is_answered_by_field(
    caller: Caller, kafka: Kafka, change: dict[str, Any], field: str
) -> None:
    create = await _create(caller)
    record = a_record(create, caller.client_id, id=f"bad-{create.key}")
    body = {**create.model_dump(mode="json"), **change}
    await send(kafka, replace(record, value=_json(body)))
    (reply,) = await replies_to(kafka, [f"bad-{create.key}"], create.key)
    assert isinstance(reply.message, CommandRejected)
    assert reply.message.problem.status == 400
    assert [error.location for error in reply.message.problem.errors] == [field]


async def test_commands_and_requests_for_one_account_at_once_keep_its_revisions_in_order(
    caller: Caller, kafka: Kafka
) -> None:
    create = await _create(caller)
    path = f"/portfolios/configurations/{create.account_id}"
    delete = DeleteConfiguration(account_id=create.account_id)
    ids = [f"{n}-{create.key}" for n in range(20)]
    records = [a_record(create if n % 2 == 0 else delete, caller.client_id, id=id_) for n, id_ in enumerate(ids)]
    body = create.model_dump(mode="json")
    requests = [caller.post("/portfolios/configurations", body) if n % 2 else caller.delete(path) for n in range(20)]
    sending = asyncio.create_task(send(kafka, *records))
    answers = await asyncio.gather(*requests)
    await sending
    replies = await replies_to(kafka, ids, create.key, count=20)

    done = [each for each in replies if isinstance(each.message, CommandAccepted)]
    count = len(done) + sum(answer.status in {201, 204} for answer in answers)
    said = [each.message.model_dump() for each in await events(kafka, CONFIGURATIONS_EVENTS, create.key, count)]
    assert [each["revision"] for each in said] == list(range(1, count + 1))
    assert [each["configured"] for each in said] == [n % 2 == 0 for n in range(count)]


def a_record_of_event(event: AccountCreated, client_id: UUID) -> Record:
    """The event as somebody would send it to the wrong topic."""
    record = to_record(event, new_envelope(event, source="/upstream", client_id=client_id))
    return replace(record, topic=CONFIGURATIONS_COMMANDS.name)


def _with_header(record: Record, name: str, value: bytes) -> Record:
    return replace(record, headers=[(n, value if n == name else v) for n, v in record.headers])


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


async def _execute(database: Database, statement: str, **named: Any) -> Any:
    async with database.unit_of_work() as work:
        return await work.connection.execute(text(statement), named)
