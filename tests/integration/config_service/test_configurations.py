"""Configurations over HTTP, and what is announced of them."""

import asyncio
import io
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from sqlalchemy import text

from shared.contracts import CONFIGURATIONS_EVENTS
from shared.kit.kafka import Kafka
from shared.kit.unit_of_work import Database

from .bus import events
from .callers import Caller

CONFIGURATIONS = "/portfolios/configurations"
#: The example request of the API that is the model, to the letter; its allocation_id is no UUID.
SEEDS_BODY = """{
"account_id": "eb5ba93f-5dfe-4bf1-8571-4dadcaacc80c",
"allocation_id": "24c230eb-5d4f-4462-9af8-6612e7bd3afg"
}"""


async def _send_text(session: aiohttp.ClientSession, caller: Caller, body: str) -> tuple[int, Any]:
    headers = {**caller.headers, "Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
    async with session.post(CONFIGURATIONS, data=io.BytesIO(body.encode()), headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def test_the_seeds_body_is_refused_by_field_as_it_stands_and_taken_with_ids_that_exist(
    caller: Caller, session: aiohttp.ClientSession
) -> None:
    status, refused = await _send_text(session, caller, SEEDS_BODY)
    assert (status, [error["location"] for error in refused["errors"]]) == (400, ["body.allocation_id"])
    account_id, allocation_id = await caller.an_account(), await caller.an_allocation()
    corrected = SEEDS_BODY.replace("eb5ba93f-5dfe-4bf1-8571-4dadcaacc80c", account_id).replace(
        "24c230eb-5d4f-4462-9af8-6612e7bd3afg", allocation_id
    )
    status, made = await _send_text(session, caller, corrected)
    assert status == 201
    assert sorted(made) == ["account_id", "allocation_id", "created_at", "updated_at", "version"]
    assert (made["account_id"], made["allocation_id"], made["version"]) == (account_id, allocation_id, 1)


async def test_a_configuration_is_shown_where_the_answer_says(caller: Caller) -> None:
    link = {"account_id": await caller.an_account(), "allocation_id": await caller.an_allocation()}
    made = await caller.post(CONFIGURATIONS, link)
    assert made.headers["Location"] == f"{CONFIGURATIONS}/{link['account_id']}"
    assert (await caller.get(made.headers["Location"])).body == made.body


async def test_a_deletion_is_204_without_a_body_and_the_configuration_is_gone(caller: Caller) -> None:
    path = f"{CONFIGURATIONS}/{(await caller.a_configuration())['account_id']}"
    gone = await caller.delete(path)
    assert (gone.status, gone.body) == (204, None)
    assert "Content-Type" not in gone.headers
    assert (await caller.get(path)).status == 404
    assert (await caller.delete(path)).status == 404
    assert (await caller.get(CONFIGURATIONS)).body["data"] == []


async def test_an_account_is_configured_anew_under_its_next_version(caller: Caller, kafka: Kafka) -> None:
    first = await caller.a_configuration()
    account_id = first["account_id"]
    await caller.delete(f"{CONFIGURATIONS}/{account_id}")
    second = await caller.a_configuration(account_id)
    await caller.delete(f"{CONFIGURATIONS}/{account_id}")
    assert (first["version"], second["version"]) == (1, 2)
    assert second["created_at"] > first["created_at"]

    said = await events(kafka, CONFIGURATIONS_EVENTS, account_id, 4)
    told = [each.message.model_dump(mode="json") for each in said]
    assert [each.type for each in said] == ["ConfigurationCreated", "ConfigurationDeleted"] * 2
    assert [each["revision"] for each in told] == [1, 2, 3, 4]
    assert [each["version"] for each in told] == [1, 1, 2, 2]
    assert [each["configured"] for each in told] == [True, False, True, False]
    assert told[2] == {**second, "revision": 3, "configured": True, "deleted_at": None}
    assert told[3]["deleted_at"] == told[3]["updated_at"] > told[3]["created_at"] == second["created_at"]
    assert {each.envelope.client_id for each in said} == {caller.client_id}


async def test_a_switched_target_keeps_the_version_and_is_announced_under_the_next_revision(
    caller: Caller, kafka: Kafka
) -> None:
    made = await caller.a_configuration()
    path = f"{CONFIGURATIONS}/{made['account_id']}"
    target = {"allocation_id": await caller.an_allocation()}
    switched = await caller.patch(path, target)
    assert (switched.status, switched.body) == (200, {**made, **target, "updated_at": switched.body["updated_at"]})
    assert switched.body["updated_at"] > made["updated_at"]
    assert (await caller.get(path)).body == switched.body

    unchanged = await caller.patch(path, target)
    assert (unchanged.status, unchanged.body, unchanged.headers["ETag"]) == (200, switched.body, '"2"')
    await caller.delete(path)
    said = await events(kafka, CONFIGURATIONS_EVENTS, made["account_id"], 3)
    assert [each.type for each in said] == ["ConfigurationCreated", "ConfigurationChanged", "ConfigurationDeleted"]
    told = [each.message.model_dump(mode="json") for each in said]
    assert told[1] == {**switched.body, "revision": 2, "configured": True, "deleted_at": None}
    assert (told[2]["allocation_id"], told[2]["version"]) == (target["allocation_id"], made["version"])


async def test_a_target_that_is_not_there_is_404_and_the_old_one_stays(caller: Caller, stranger: Caller) -> None:
    made = await caller.a_configuration()
    path = f"{CONFIGURATIONS}/{made['account_id']}"
    gone = await caller.an_allocation()
    await caller.delete(f"/portfolios/allocations/{gone}")
    for target in (str(uuid4()), gone, await stranger.an_allocation()):
        assert (await caller.patch(path, {"allocation_id": target})).status == 404
    assert (await caller.patch(f"{CONFIGURATIONS}/{await caller.an_account()}", {"allocation_id": gone})).status == 404
    assert (await stranger.patch(path, {"allocation_id": await stranger.an_allocation()})).status == 404
    assert (await caller.get(path)).body == made


async def test_the_target_of_an_account_that_is_not_active_stays(caller: Caller) -> None:
    made = await caller.a_configuration()
    target = {"allocation_id": await caller.an_allocation()}
    await caller.patch(f"/accounts/{made['account_id']}", {"status": "LOCKED"})
    refused = await caller.patch(f"{CONFIGURATIONS}/{made['account_id']}", target)
    assert (refused.status, refused.body["type"]) == (422, "/problems/unprocessable_entity")


async def test_an_allocation_is_in_use_from_the_switch_to_it_and_free_from_the_switch_away(caller: Caller) -> None:
    made = await caller.a_configuration()
    old, new = made["allocation_id"], await caller.an_allocation()
    await caller.patch(f"{CONFIGURATIONS}/{made['account_id']}", {"allocation_id": new})
    assert (await caller.delete(f"/portfolios/allocations/{new}")).status == 409
    assert (await caller.delete(f"/portfolios/allocations/{old}")).status == 204


async def test_switching_to_an_allocation_and_deleting_it_at_once_never_leave_an_account_on_a_deleted_one(
    caller: Caller,
) -> None:
    for _ in range(10):
        path, target = (
            f"{CONFIGURATIONS}/{(await caller.a_configuration())['account_id']}",
            await caller.an_allocation(),
        )
        deleted, switched = await asyncio.gather(
            caller.delete(f"/portfolios/allocations/{target}"), caller.patch(path, {"allocation_id": target})
        )
        assert (deleted.status, switched.status) in {(204, 404), (409, 200)}


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "body.allocation_id"), ({"allocation_id": None}, "body.allocation_id"), ({"version": 2}, "body.version")],
)
async def test_a_bad_change_is_refused_by_field(caller: Caller, body: Any, field: str) -> None:
    refused = await caller.patch(f"{CONFIGURATIONS}/{uuid4()}", body)
    assert refused.status == 400
    assert field in refused.at_fault


async def test_a_configuration_is_made_once_however_often_and_at_once_it_is_asked_for(
    caller: Caller, kafka: Kafka
) -> None:
    link = {"account_id": await caller.an_account(), "allocation_id": await caller.an_allocation()}
    key = {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(*(caller.post(CONFIGURATIONS, link, **key) for _ in range(50)))
    made = [answer for answer in answers if answer.status == 201]
    assert made
    assert {answer.status for answer in answers} <= {201, 409}
    assert all(answer.body == made[0].body for answer in made)
    replayed = await caller.post(CONFIGURATIONS, link, **key)
    assert (replayed.status, replayed.body) == (201, made[0].body)
    assert {name: replayed.headers[name] for name in ("Location", "ETag", "Idempotency-Replayed")} == {
        "Location": f"{CONFIGURATIONS}/{link['account_id']}",
        "ETag": '"1"',
        "Idempotency-Replayed": "true",
    }
    assert len(await events(kafka, CONFIGURATIONS_EVENTS, link["account_id"], 1)) == 1


async def test_an_account_has_at_most_one_configuration(caller: Caller) -> None:
    link = {"account_id": await caller.an_account(), "allocation_id": await caller.an_allocation()}
    answers = await asyncio.gather(*(caller.post(CONFIGURATIONS, link) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    assert (await caller.get(f"{CONFIGURATIONS}/{link['account_id']}")).body["version"] == 1


async def test_a_configuration_that_is_deleted_by_many_at_once_is_deleted_once(caller: Caller, kafka: Kafka) -> None:
    account_id = (await caller.a_configuration())["account_id"]
    answers = await asyncio.gather(*(caller.delete(f"{CONFIGURATIONS}/{account_id}") for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [204] + [404] * 7
    await caller.a_configuration(account_id)
    said = await events(kafka, CONFIGURATIONS_EVENTS, account_id, 3)
    assert [each.type for each in said] == ["ConfigurationCreated", "ConfigurationDeleted", "ConfigurationCreated"]


async def test_creating_and_deleting_at_once_are_announced_in_the_order_of_their_revisions(
    caller: Caller, kafka: Kafka
) -> None:
    link = {"account_id": await caller.an_account(), "allocation_id": await caller.an_allocation()}
    path = f"{CONFIGURATIONS}/{link['account_id']}"
    turns = [caller.post(CONFIGURATIONS, link) if n % 2 else caller.delete(path) for n in range(30)]
    answers = await asyncio.gather(*turns)
    done = [answer.status for answer in answers if answer.status in {201, 204}]

    said = await events(kafka, CONFIGURATIONS_EVENTS, link["account_id"], len(done))
    told = [each.message.model_dump() for each in said]
    assert [each["revision"] for each in told] == list(range(1, len(done) + 1))
    assert [each["configured"] for each in told] == [n % 2 == 0 for n in range(len(done))]
    assert [each["version"] for each in told] == [1 + n // 2 for n in range(len(done))]
    assert (await caller.get(path)).status == (200 if told[-1]["configured"] else 404)


async def test_only_active_portfolio_accounts_can_be_configured(caller: Caller) -> None:
    allocation_id = await caller.an_allocation()
    for account in ({"type": "TRADING"}, {"status": "PENDING_APPROVAL"}):
        link = {"account_id": await caller.an_account(**account), "allocation_id": allocation_id}
        refused = await caller.post(CONFIGURATIONS, link)
        assert (refused.status, refused.body["type"]) == (422, "/problems/unprocessable_entity")


async def test_an_unknown_account_or_allocation_is_404(caller: Caller) -> None:
    account_id, allocation_id = await caller.an_account(), await caller.an_allocation()
    for link in ((account_id, str(uuid4())), (str(uuid4()), allocation_id)):
        refused = await caller.post(CONFIGURATIONS, dict(zip(("account_id", "allocation_id"), link, strict=True)))
        assert (refused.status, refused.body["type"]) == (404, "/problems/not_found")


async def test_another_clients_configuration_is_404_and_stays(caller: Caller, stranger: Caller) -> None:
    configuration = await caller.a_configuration()
    path = f"{CONFIGURATIONS}/{configuration['account_id']}"
    link = {"account_id": configuration["account_id"], "allocation_id": await stranger.an_allocation()}
    assert (await stranger.get(path)).status == 404
    assert (await stranger.delete(path)).status == 404
    assert (await stranger.post(CONFIGURATIONS, link)).status == 404
    filtered = await stranger.get(f"{CONFIGURATIONS}?allocation_id={configuration['allocation_id']}")
    assert filtered.body["meta"]["total_count"] == 0
    assert (await caller.get(path)).body == configuration


async def test_configurations_are_listed_by_allocation(caller: Caller) -> None:
    allocation_id = await caller.an_allocation()
    with_it = [await caller.a_configuration(allocation_id=allocation_id) for _ in range(2)]
    another = await caller.a_configuration()
    assert (await caller.get(f"{CONFIGURATIONS}?allocation_id={allocation_id}")).body["data"] == with_it
    assert (await caller.get(CONFIGURATIONS)).body["data"] == [*with_it, another]
    assert (await caller.get(f"{CONFIGURATIONS}?allocation_id=x")).at_fault == ["query.allocation_id"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["body.account_id", "body.allocation_id"]),
        ({"account_id": 1, "allocation_id": None}, ["body.account_id", "body.allocation_id"]),
        ({"account_id": str(uuid4()), "allocation_id": str(uuid4()), "version": 7}, ["body.version"]),
        ([], ["body"]),
    ],
)
async def test_a_bad_body_is_refused_by_field(caller: Caller, body: Any, fields: list[str]) -> None:
    refused = await caller.post(CONFIGURATIONS, body)
    assert (refused.status, refused.at_fault) == (400, fields)


@pytest.mark.parametrize(
    ("body", "status"), [("{", 400), ("", 400), ('{"account_id": NaN}', 400), ('"' + "x" * (1024 * 1024) + '"', 413)]
)
async def test_a_body_that_cannot_be_read_is_a_problem_and_writes_nothing(
    caller: Caller, session: aiohttp.ClientSession, database: Database, body: str, status: int
) -> None:
    answered, problem = await _send_text(session, caller, body)
    assert (answered, problem["status"]) == (status, status)
    async with database.reading() as connection:
        written = text("SELECT count(*) FROM configurations WHERE client_id = :client_id")
        assert (await connection.execute(written, {"client_id": caller.client_id})).scalar_one() == 0
