"""ETag and If-Match: two writers who meet, on accounts, allocations and configurations."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from .callers import HALVES, Answer, Caller

Send = Callable[[Caller, str, str | None], Awaitable[Answer]]

ALLOCATION = {"name": "another", "allocation": HALVES}


@dataclass(frozen=True)
class Resource:
    """A kind of resource: how one is made, and how it is changed."""

    make: Callable[[Caller], Awaitable[str]]
    change: Send
    delete: Send | None


async def _an_account(caller: Caller) -> str:
    return f"/accounts/{await caller.an_account()}"


async def _an_allocation(caller: Caller) -> str:
    return f"/portfolios/allocations/{await caller.an_allocation()}"


async def _a_configuration(caller: Caller) -> str:
    return f"/portfolios/configurations/{(await caller.a_configuration())['account_id']}"


async def _rename(caller: Caller, path: str, if_match: str | None) -> Answer:
    return await caller.patch(path, {"name": str(uuid4())}, if_match=if_match)


async def _replace(caller: Caller, path: str, if_match: str | None) -> Answer:
    return await caller.put(path, {**ALLOCATION, "name": str(uuid4())}, if_match=if_match)


async def _switch(caller: Caller, path: str, if_match: str | None) -> Answer:
    return await caller.patch(path, {"allocation_id": await caller.an_allocation()}, if_match=if_match)


async def _delete(caller: Caller, path: str, if_match: str | None) -> Answer:
    return await caller.delete(path, if_match=if_match)


KINDS = {
    "accounts": Resource(_an_account, _rename, None),
    "allocations": Resource(_an_allocation, _replace, _delete),
    "configurations": Resource(_a_configuration, _switch, _delete),
}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Resource:
    return KINDS[str(request.param)]


async def test_every_answer_with_a_resource_carries_its_revision_as_etag(caller: Caller, kind: Resource) -> None:
    path = await kind.make(caller)
    assert (await caller.get(path)).headers["ETag"] == '"1"'
    assert (await kind.change(caller, path, None)).headers["ETag"] == '"2"'
    assert (await caller.get(path)).headers["ETag"] == '"2"'


async def test_what_was_made_carries_its_first_revision_as_etag(caller: Caller) -> None:
    opened = await caller.post("/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    made = await caller.post("/portfolios/allocations", ALLOCATION)
    link = {"account_id": opened.body["account_id"], "allocation_id": made.body["allocation_id"]}
    configured = await caller.post("/portfolios/configurations", link)
    assert [answer.headers["ETag"] for answer in (opened, made, configured)] == ['"1"'] * 3


async def test_a_change_of_the_revision_that_is_expected_is_made_and_of_another_refused(
    caller: Caller, kind: Resource
) -> None:
    path = await kind.make(caller)
    assert (await kind.change(caller, path, '"1"')).status == 200
    before = (await caller.get(path)).body
    for stale in ('"1"', '"3"'):
        refused = await kind.change(caller, path, stale)
        assert (refused.status, refused.body["type"]) == (412, "/problems/precondition_failed")
    assert (await caller.get(path)).body == before
    assert (await kind.change(caller, path, "*")).status == 200
    assert (await kind.change(caller, path, None)).status == 200


async def test_a_deletion_of_another_revision_is_refused_and_of_the_expected_one_done(
    caller: Caller, kind: Resource
) -> None:
    if kind.delete is None:
        pytest.skip("accounts are closed and never deleted")
    path = await kind.make(caller)
    await kind.change(caller, path, None)
    refused = await kind.delete(caller, path, '"1"')
    assert (refused.status, refused.body["type"]) == (412, "/problems/precondition_failed")
    assert (await caller.get(path)).status == 200
    assert (await kind.delete(caller, path, '"2"')).status == 204
    assert (await kind.delete(caller, path, '"3"')).status == 404


async def test_of_many_who_expect_the_same_revision_one_wins(caller: Caller, kind: Resource) -> None:
    path = await kind.make(caller)
    answers = await asyncio.gather(*(kind.change(caller, path, '"1"') for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7
    assert (await caller.get(path)).headers["ETag"] == '"2"'


async def test_of_a_change_and_a_deletion_that_expect_the_same_revision_one_wins(
    caller: Caller, kind: Resource
) -> None:
    if kind.delete is None:
        pytest.skip("accounts are closed and never deleted")
    for _ in range(5):
        path = await kind.make(caller)
        changed, deleted = await asyncio.gather(kind.change(caller, path, '"1"'), kind.delete(caller, path, '"1"'))
        assert (changed.status, deleted.status) in {(200, 412), (404, 204)}


async def test_without_if_match_the_last_writer_wins(caller: Caller, kind: Resource) -> None:
    path = await kind.make(caller)
    answers = await asyncio.gather(*(kind.change(caller, path, None) for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8
    last = max(answers, key=lambda answer: int(answer.headers["ETag"].strip('"')))
    assert (await caller.get(path)).body == last.body


async def test_patches_at_once_are_never_lost_halves_of_each_other(caller: Caller) -> None:
    for _ in range(10):
        path = await _an_account(caller)
        await asyncio.gather(caller.patch(path, {"name": "new"}), caller.patch(path, {"status": "LOCKED"}))
        shown = (await caller.get(path)).body
        assert (shown["name"], shown["status"]) == ("new", "LOCKED")


@pytest.mark.parametrize("if_match", ["1", '"x"', '"1", "2"', ""])
async def test_an_if_match_that_is_no_tag_of_ours_is_400_and_nothing_happens(
    caller: Caller, kind: Resource, if_match: str
) -> None:
    path = await kind.make(caller)
    refused = await kind.change(caller, path, if_match)
    assert (refused.status, refused.at_fault) == (400, ["header.if-match"])
    assert (await caller.get(path)).headers["ETag"] == '"1"'


async def test_what_is_not_there_is_404_whatever_is_expected_of_it(caller: Caller, stranger: Caller) -> None:
    for make, change in ((_an_account, _rename), (_an_allocation, _replace), (_a_configuration, _switch)):
        path = await make(caller)
        assert (await change(stranger, path, '"7"')).status == 404
        unknown: Any = f"{path.rpartition('/')[0]}/{uuid4()}"
        assert (await change(caller, unknown, '"7"')).status == 404
