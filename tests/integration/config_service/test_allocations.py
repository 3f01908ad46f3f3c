"""Allocations over HTTP, and what is announced of them."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from shared.contracts import ALLOCATIONS_EVENTS
from shared.kit.kafka import Kafka

from .bus import events
from .callers import HALVES, Caller

ALLOCATIONS = "/portfolios/allocations"


async def test_a_made_allocation_is_shown_with_its_weights_as_they_were_written(caller: Caller) -> None:
    made = await caller.post(ALLOCATIONS, {"name": "Balanced", "allocation": HALVES})
    assert (made.status, made.body["name"], made.body["allocation"]) == (201, "Balanced", HALVES)
    assert made.headers["Location"] == f"{ALLOCATIONS}/{made.body['allocation_id']}"
    assert (await caller.get(made.headers["Location"])).body == made.body
    assert (await caller.get(ALLOCATIONS)).body["data"] == [made.body]


async def test_making_and_deleting_are_announced_with_the_whole_allocation(caller: Caller, kafka: Kafka) -> None:
    made = await caller.post(ALLOCATIONS, {"allocation": HALVES})
    allocation_id = made.body["allocation_id"]
    assert (await caller.delete(f"{ALLOCATIONS}/{allocation_id}")).status == 204

    created, deleted = await events(kafka, ALLOCATIONS_EVENTS, allocation_id, 2)
    assert (created.type, deleted.type) == ("AllocationCreated", "AllocationDeleted")
    assert created.message.model_dump(mode="json") == {**made.body, "revision": 1, "deleted_at": None}
    told = deleted.message.model_dump(mode="json")
    assert (told["revision"], told["allocation"]) == (2, HALVES)
    assert told["deleted_at"] == told["updated_at"] > told["created_at"]


async def test_a_replaced_allocation_has_the_new_name_and_list_and_is_announced_whole(
    caller: Caller, kafka: Kafka
) -> None:
    made = await caller.post(ALLOCATIONS, {"name": "Old", "allocation": HALVES})
    path = f"{ALLOCATIONS}/{made.body['allocation_id']}"
    whole = {"name": "New", "allocation": [{**HALVES[0], "weight": "1.00"}]}
    replaced = await caller.put(path, whole)
    assert (replaced.status, replaced.body) == (
        200,
        {**made.body, **whole, "updated_at": replaced.body["updated_at"]},
    )
    assert (await caller.get(path)).body == replaced.body
    _, changed = await events(kafka, ALLOCATIONS_EVENTS, made.body["allocation_id"], 2)
    assert changed.type == "AllocationChanged"
    assert changed.message.model_dump(mode="json") == {**replaced.body, "revision": 2, "deleted_at": None}


async def test_a_list_is_complete_so_that_a_name_that_is_left_out_is_taken_away(caller: Caller) -> None:
    made = await caller.post(ALLOCATIONS, {"name": "Old", "allocation": HALVES})
    replaced = await caller.put(f"{ALLOCATIONS}/{made.body['allocation_id']}", {"allocation": HALVES})
    assert (replaced.status, replaced.body["name"]) == (200, None)


async def test_a_replacement_that_changes_nothing_announces_nothing(caller: Caller, kafka: Kafka) -> None:
    body = {"name": "Same", "allocation": HALVES}
    made = await caller.post(ALLOCATIONS, body)
    path = f"{ALLOCATIONS}/{made.body['allocation_id']}"
    same = await caller.put(path, body)
    assert (same.status, same.body, same.headers["ETag"]) == (200, made.body, '"1"')
    await caller.delete(path)
    said = await events(kafka, ALLOCATIONS_EVENTS, made.body["allocation_id"], 2)
    assert [each.type for each in said] == ["AllocationCreated", "AllocationDeleted"]


async def test_an_allocation_that_is_used_may_be_replaced_and_its_configurations_stay(caller: Caller) -> None:
    configuration = await caller.a_configuration()
    path = f"{ALLOCATIONS}/{configuration['allocation_id']}"
    assert (await caller.put(path, {"allocation": [{**HALVES[0], "weight": "1"}]})).status == 200
    assert (await caller.get(f"/portfolios/configurations/{configuration['account_id']}")).body == configuration


async def test_replacing_and_deleting_at_once_are_announced_in_the_order_of_their_revisions(
    caller: Caller, kafka: Kafka
) -> None:
    allocation_id = await caller.an_allocation()
    path = f"{ALLOCATIONS}/{allocation_id}"
    bodies = [{"name": f"name {n}", "allocation": HALVES} for n in range(10)]
    answers = await asyncio.gather(*(caller.put(path, body) for body in bodies), caller.delete(path))
    count = 1 + sum(answer.status in {200, 204} for answer in answers)
    said = [each.message.model_dump() for each in await events(kafka, ALLOCATIONS_EVENTS, allocation_id, count)]
    assert [each["revision"] for each in said] == list(range(1, count + 1))
    assert [each["deleted_at"] is None for each in said] == [True] * (count - 1) + [False]


async def test_a_deleted_allocation_is_gone(caller: Caller) -> None:
    allocation_id = await caller.an_allocation()
    gone = await caller.delete(f"{ALLOCATIONS}/{allocation_id}")
    assert (gone.status, gone.body) == (204, None)
    assert (await caller.get(f"{ALLOCATIONS}/{allocation_id}")).status == 404
    assert (await caller.delete(f"{ALLOCATIONS}/{allocation_id}")).status == 404
    assert (await caller.get(ALLOCATIONS)).body["data"] == []
    link = {"account_id": await caller.an_account(), "allocation_id": allocation_id}
    assert (await caller.post("/portfolios/configurations", link)).status == 404


async def test_an_allocation_that_is_used_cannot_be_deleted_until_nothing_uses_it(caller: Caller) -> None:
    configuration = await caller.a_configuration()
    path = f"{ALLOCATIONS}/{configuration['allocation_id']}"
    refused = await caller.delete(path)
    assert (refused.status, refused.body["type"]) == (409, "/problems/conflict")
    await caller.delete(f"/portfolios/configurations/{configuration['account_id']}")
    assert (await caller.delete(path)).status == 204


async def test_deleting_and_using_at_once_never_leave_an_account_on_a_deleted_allocation(caller: Caller) -> None:
    for _ in range(10):
        account_id, allocation_id = await caller.an_account(), await caller.an_allocation()
        deleted, configured = await asyncio.gather(
            caller.delete(f"{ALLOCATIONS}/{allocation_id}"),
            caller.post("/portfolios/configurations", {"account_id": account_id, "allocation_id": allocation_id}),
        )
        assert (deleted.status, configured.status) in {(204, 404), (409, 201)}


def _items(**change: Any) -> list[dict[str, Any]]:
    return [{**HALVES[0], "weight": "1", **change}]


@pytest.mark.parametrize(
    ("allocation", "field"),
    [
        ([], "body.allocation"),
        (None, "body.allocation"),
        (HALVES[:1], "body.allocation"),
        (_items(weight=1), "body.allocation.0.weight"),
        (_items(weight="1e0"), "body.allocation.0.weight"),
        (_items(weight="0"), "body.allocation.0.weight"),
        (_items(weight="NaN"), "body.allocation.0.weight"),
        (_items(weight="123456789012345678.123456789012345678"), "body.allocation"),
        (_items(instrument_id="US0378331006"), "body.allocation.0.instrument_id"),
        (_items(instrument_id_type="UUID"), "body.allocation.0.instrument_id"),
        (_items(instrument_id_type="CUSIP"), "body.allocation.0.instrument_id_type"),
        (_items(quantity="1"), "body.allocation.0.quantity"),
        ([HALVES[0], {**HALVES[0], "weight": "0.3"}], "body.allocation.1.instrument_id"),
        ([{"instrument_id": str(uuid4()), "instrument_id_type": "UUID", "weight": "0.001"}] * 1001, "body.allocation"),
    ],
)
async def test_a_bad_allocation_is_refused_by_field_and_not_made(caller: Caller, allocation: Any, field: str) -> None:
    refused = await caller.post(ALLOCATIONS, {"allocation": allocation})
    assert (refused.status, refused.at_fault) == (400, [field])
    assert (await caller.get(ALLOCATIONS)).body["meta"]["total_count"] == 0
    replaced = await caller.put(f"{ALLOCATIONS}/{await caller.an_allocation()}", {"allocation": allocation})
    assert (replaced.status, replaced.at_fault) == (400, [field])


async def test_another_clients_allocation_is_404_to_read_to_delete_and_to_use(caller: Caller, stranger: Caller) -> None:
    allocation_id = await caller.an_allocation()
    assert (await stranger.get(f"{ALLOCATIONS}/{allocation_id}")).status == 404
    assert (await stranger.put(f"{ALLOCATIONS}/{allocation_id}", {"allocation": HALVES})).status == 404
    assert (await stranger.delete(f"{ALLOCATIONS}/{allocation_id}")).status == 404
    link = {"account_id": await stranger.an_account(), "allocation_id": allocation_id}
    assert (await stranger.post("/portfolios/configurations", link)).status == 404
    assert (await caller.get(f"{ALLOCATIONS}/{allocation_id}")).status == 200
