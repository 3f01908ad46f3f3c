"""Ledger portfolios over HTTP: making, merge patches, deleting, and what is announced of them."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.contracts import PORTFOLIOS_EVENTS, PortfolioState
from shared.kit.kafka import Kafka

from .bus import Said, events
from .callers import Answer, Caller
from .ledger import DOCUMENTED, a_ledger, a_portfolio, id_in, send_raw

FIELDS = [
    "id",
    "organizationId",
    "ledgerId",
    "entityId",
    "name",
    "status",
    "metadata",
    "createdAt",
    "updatedAt",
    "deletedAt",
]


def _told(said: Said) -> dict[str, Any]:
    assert isinstance(said.message, PortfolioState)
    return said.message.model_dump(mode="json")


async def test_the_documented_request_is_answered_with_the_whole_resource_and_its_request_id(caller: Caller) -> None:
    path = await a_portfolio(caller)
    request_id = str(uuid4())
    answer = await send_raw(caller, "PATCH", path, DOCUMENTED, **{"X-Request-Id": request_id})

    sent = json.loads(DOCUMENTED)
    assert (answer.status, answer.headers["X-Request-Id"]) == (200, request_id)
    assert list(answer.body) == FIELDS
    assert {field: answer.body[field] for field in sent} == sent
    assert answer.body["metadata"]["currencyExposure"] == ["USD", "BRL", "EUR", "GBP"]
    assert [answer.body[name] for name in ("id", "ledgerId", "organizationId")] == [
        path.split("/")[n] for n in (7, 5, 3)
    ]
    assert answer.body["deletedAt"] is None
    assert (await caller.get(path)).body == answer.body


async def test_a_documented_request_without_a_json_content_type_is_415_as_documented(caller: Caller) -> None:
    path = await a_portfolio(caller)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await send_raw(caller, "PATCH", path, DOCUMENTED, **form)).status == 415
    merge_patch = {"Content-Type": "application/merge-patch+json"}
    assert (await send_raw(caller, "PATCH", path, DOCUMENTED, **merge_patch)).status == 200


async def test_a_portfolio_is_made_with_defaults_and_shown_where_the_answer_says(caller: Caller) -> None:
    base = await a_ledger(caller)
    made = await caller.post(base, {"name": "Savings"})
    assert made.status == 201
    assert made.headers["Location"] == f"{base}/{made.body['id']}"
    shown = {"entityId": None, "name": "Savings", "status": {"code": "ACTIVE", "description": None}, "metadata": {}}
    assert made.body | shown == made.body
    assert UUID(made.body["id"]).version == 7
    read = await caller.get(made.headers["Location"])
    assert (read.body, read.headers["ETag"]) == (made.body, made.headers["ETag"])


async def test_a_portfolio_is_made_with_all_that_is_said_of_it_and_names_may_repeat(caller: Caller) -> None:
    base = await a_ledger(caller)
    metadata = {
        "text": "ä\U0001f4c8",
        "number": 1.5,
        "large": 2**63 - 1,
        "tiny": 5e-324,
        "whole": 600000,
        "yes": True,
        "list": [1, "a", None],
    }
    body = {"name": "n" * 256, "entityId": "e" * 256, "status": {"code": "c" * 100, "description": "d" * 256}}
    for _ in range(2):
        made = await caller.post(base, {**body, "metadata": {**metadata, "nothing": None}})
        assert (made.status, made.body | body | {"metadata": metadata}) == (201, made.body)
        assert (await caller.get(f"{base}/{made.body['id']}")).body == made.body
    nulls = await caller.post(base, {"name": "n", "entityId": None, "status": None, "metadata": None})
    assert (nulls.status, nulls.body["status"]["code"], nulls.body["metadata"]) == (201, "ACTIVE", {})


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ("{}", "0009", "body.name"),
        ('{"name": ""}', "0047", "body.name"),
        ('{"name": null}', "0047", "body.name"),
        ('{"name": "%s"}' % ("x" * 257), "0047", "body.name"),
        ('{"name": "n", "entityId": 7}', "0047", "body.entityId"),
        ('{"name": "n", "status": {"code": ""}}', "0047", "body.status.code"),
        ('{"name": "n", "id": "x"}', "0053", "body.id"),
        ('{"name": "n", "metadata": {"a": {"b": 1}}}', "0067", "body.metadata.a"),
        ('{"name": "n", "metadata": {"a": [[1]]}}', "0067", "body.metadata.a"),
        ('{"name": "n", "metadata": {"%s": 1}}' % ("k" * 101), "0050", f"body.metadata.{'k' * 101}"),
        ('{"name": "n", "metadata": {"k": "%s"}}' % ("v" * 2001), "0051", "body.metadata.k"),
        ('{"name": "n", "metadata": {"k": 1e999}}', "0047", "body.metadata.k"),
        ('{"name": "n", "metadata": {"k": 18446744073709551616}}', "0047", "body.metadata.k"),
        ('{"name": "n"', "0094", None),
        ("", "0094", "body"),
        ("[]", "0094", "body"),
        ('{"name": "n", "metadata": ' + "[" * 5000 + "]" * 5000 + "}", "0094", None),
        ('{"name": "n", "name": "m"}', "0047", "body.name"),
        ('{"name": "n", "metadata": {"k": "\\ud800"}}', "0094", None),
        ("null", "0094", "body"),
    ],
)
async def test_a_bad_portfolio_is_refused_by_field_with_the_models_code(
    caller: Caller, body: str, code: str, field: str | None
) -> None:
    base = await a_ledger(caller)
    refused = await send_raw(caller, "POST", base, body)
    assert (refused.status, refused.body["type"], refused.body["code"]) == (400, "/problems/invalid_request", code)
    assert field is None or refused.at_fault == [field]
    assert (await caller.get(base)).body["items"] == []


async def _patches(caller: Caller, path: str, *patches: Any) -> list[Answer]:
    return [await caller.patch(path, patch) for patch in patches]


async def test_a_field_left_out_is_unchanged_and_an_empty_patch_moves_only_the_time_of_change(
    caller: Caller, kafka: Kafka
) -> None:
    path = await a_portfolio(caller, entityId="e", status={"code": "ON_HOLD", "description": "d"}, metadata={"a": 1})
    before = (await caller.get(path)).body
    empty, named = await _patches(caller, path, {}, {"name": "New"})
    assert (empty.status, {**empty.body, "updatedAt": before["updatedAt"]}) == (200, before)
    assert empty.body["updatedAt"] > before["updatedAt"]
    assert {**named.body, "updatedAt": before["updatedAt"]} == {**before, "name": "New"}
    said = await events(kafka, PORTFOLIOS_EVENTS, id_in(path), 3)
    assert [each.type for each in said] == ["PortfolioCreated", "PortfolioUpdated", "PortfolioUpdated"]


async def test_metadata_keys_are_merged_removed_by_null_and_cleared_as_a_whole_by_null(caller: Caller) -> None:
    path = await a_portfolio(caller, metadata={"kept": [1, 2], "changed": "a", "gone": True})
    merged, same, cleared = await _patches(
        caller,
        path,
        {"metadata": {"changed": ["b"], "gone": None, "new": 1, "never": None}},
        {"metadata": {}},
        {"metadata": None},
    )
    assert merged.body["metadata"] == {"kept": [1, 2], "changed": ["b"], "new": 1}
    assert same.body["metadata"] == merged.body["metadata"]
    assert (cleared.status, cleared.body["metadata"]) == (200, {})


async def test_a_code_without_a_description_clears_it_and_a_description_alone_keeps_the_code(caller: Caller) -> None:
    path = await a_portfolio(caller, status={"code": "ON_HOLD", "description": "first"})
    patches = [{"description": "second"}, {"code": "BLOCKED"}, {"description": "third"}, {"description": None}]
    answers = await _patches(caller, path, *({"status": status} for status in patches))
    assert [tuple(answer.body["status"].values()) for answer in answers] == [
        ("ON_HOLD", "second"),
        ("BLOCKED", None),
        ("BLOCKED", "third"),
        ("BLOCKED", None),
    ]


async def test_an_entity_is_set_and_taken_away(caller: Caller) -> None:
    path = await a_portfolio(caller)
    answers = await _patches(caller, path, {"entityId": "e"}, {"entityId": None})
    assert [answer.body["entityId"] for answer in answers] == ["e", None]


@pytest.mark.parametrize(
    ("patch", "code", "fields"),
    [
        ({"name": ""}, "0047", ["body.name"]),
        ({"name": None}, "0047", ["body.name"]),
        ({"status": None}, "0047", ["body.status"]),
        ({"status": {"code": None}}, "0047", ["body.status.code"]),
        ({"status": {"code": "", "description": "d"}}, "0047", ["body.status.code"]),
        ({"id": "x", "createdAt": "y", "name": "n"}, "0053", ["body.id", "body.createdAt"]),
        ({"updatedAt": None}, "0053", ["body.updatedAt"]),
        ({"organizationId": str(uuid4())}, "0053", ["body.organizationId"]),
        ({"metadata": {"k": {"nested": 1}}}, "0067", ["body.metadata.k"]),
        ({"metadata": {"k" * 101: "v"}}, "0050", [f"body.metadata.{'k' * 101}"]),
        ({"metadata": {"k": "v" * 2001}}, "0051", ["body.metadata.k"]),
        ({"metadata": {"k": "a\0"}}, "0047", ["body.metadata.k"]),
    ],
)
async def test_a_bad_patch_is_refused_by_field_and_changes_nothing(
    caller: Caller, patch: dict[str, Any], code: str, fields: list[str]
) -> None:
    path = await a_portfolio(caller)
    before = await caller.get(path)
    refused = await caller.patch(path, patch)
    assert (refused.status, refused.body["code"], refused.at_fault) == (400, code, fields)
    after = await caller.get(path)
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])


async def test_metadata_that_would_grow_beyond_its_bound_by_patches_is_refused(caller: Caller) -> None:
    path = await a_portfolio(caller, metadata={str(n): "v" * 2000 for n in range(64)})
    refused = await caller.patch(path, {"metadata": {"more": "v" * 2000, "yet more": "v" * 2000}})
    assert (refused.status, refused.at_fault) == (400, ["body.metadata"])


async def test_two_patches_at_once_never_lose_each_others_halves(caller: Caller, kafka: Kafka) -> None:
    path = await a_portfolio(caller)
    keys = [f"key{n}" for n in range(20)]
    halves = [{"metadata": {key: True}} for key in keys] + [
        {"name": "New"},
        {"entityId": "e"},
        {"status": {"code": "X"}},
    ]
    answers = await asyncio.gather(*(caller.patch(path, half) for half in halves))
    assert {answer.status for answer in answers} == {200}
    after = (await caller.get(path)).body
    assert after["metadata"] == dict.fromkeys(keys, True)
    assert (after["name"], after["entityId"], after["status"]["code"]) == ("New", "e", "X")
    told = [_told(said) for said in await events(kafka, PORTFOLIOS_EVENTS, id_in(path), len(halves) + 1)]
    assert [each["revision"] for each in told] == list(range(1, len(halves) + 2))
    moments = [each["updated_at"] for each in told]
    assert moments == sorted(moments)


async def test_a_change_under_a_stale_etag_is_412_and_of_many_under_one_etag_one_wins(caller: Caller) -> None:
    path = await a_portfolio(caller)
    etag = (await caller.get(path)).headers["ETag"]
    answers = await asyncio.gather(*(caller.patch(path, {"name": f"n{n}"}, if_match=etag) for n in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412, 412]
    (won,) = [answer for answer in answers if answer.status == 200]
    assert (await caller.get(path)).body == won.body
    assert (await caller.delete(path, if_match=etag)).body["type"] == "/problems/precondition_failed"
    assert (await caller.patch(path, {"name": "any"}, if_match="*")).status == 200
    current = (await caller.get(path)).headers["ETag"]
    assert (await caller.delete(path, if_match=current)).status == 204


async def test_a_deleted_portfolio_is_invisible_and_its_second_deletion_is_404(caller: Caller, kafka: Kafka) -> None:
    base = await a_ledger(caller)
    path = await a_portfolio(caller, base)
    deleted = await caller.delete(path)
    assert (deleted.status, deleted.body) == (204, None)
    for answer in (await caller.delete(path), await caller.get(path), await caller.patch(path, {})):
        assert (answer.status, answer.body["code"]) == (404, "0007")
    assert (await caller.get(base)).body["items"] == []
    *_, last = await events(kafka, PORTFOLIOS_EVENTS, id_in(path), 2)
    assert (last.type, _told(last)["revision"]) == ("PortfolioDeleted", 2)
    assert _told(last)["deleted_at"] == _told(last)["updated_at"]


async def test_every_change_is_announced_with_the_whole_portfolio_and_without_metadata(
    caller: Caller, kafka: Kafka
) -> None:
    path = await a_portfolio(caller, entityId="e", metadata={"secret": "s"})
    request_id = f"request-{uuid4()}"
    await send_raw(caller, "PATCH", path, DOCUMENTED, **{"X-Request-Id": request_id})
    shown = (await caller.get(path)).body
    first, second = await events(kafka, PORTFOLIOS_EVENTS, id_in(path), 2)
    assert (first.type, second.type) == ("PortfolioCreated", "PortfolioUpdated")
    assert _told(second) == {
        "portfolio_id": shown["id"],
        "organization_id": shown["organizationId"],
        "ledger_id": shown["ledgerId"],
        "name": shown["name"],
        "entity_id": "e",
        "status_code": "BLOCKED",
        "status_description": shown["status"]["description"],
        "created_at": shown["createdAt"],
        "updated_at": shown["updatedAt"],
        "deleted_at": None,
        "revision": 2,
    }
    assert (second.envelope.correlation_id, second.envelope.client_id) == (request_id, caller.client_id)


async def test_another_organizations_or_ledgers_id_is_404_with_the_models_code(caller: Caller) -> None:
    path, other = await a_portfolio(caller), await a_ledger(caller)
    _, _, _, organization, _, ledger, _ = other.split("/")
    mixed = path.replace(path.split("/")[3], organization)
    crossed = path.replace(path.split("/")[5], ledger)
    for wrong in (f"{other}/{id_in(path)}", mixed, crossed, f"{other}/{uuid4()}"):
        for answer in (await caller.get(wrong), await caller.patch(wrong, {}), await caller.delete(wrong)):
            assert (answer.status, answer.body["code"]) == (404, "0007")
    base = mixed.rpartition("/")[0]
    for answer in (await caller.get(base), await caller.post(base, {"name": "n"})):
        assert (answer.status, answer.body["code"]) == (404, "0007")
    assert (await caller.get(path)).status == 200


async def test_another_clients_portfolio_is_404_for_every_route(caller: Caller, stranger: Caller) -> None:
    path = await a_portfolio(caller)
    base = path.rpartition("/")[0]
    answers = [
        await stranger.get(path),
        await stranger.patch(path, {"name": "theirs"}),
        await stranger.delete(path),
        await stranger.get(base),
        await stranger.post(base, {"name": "theirs"}),
        await stranger.post("/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO", "portfolio_id": id_in(path)}),
    ]
    assert {answer.status for answer in answers} == {404}
    assert (await caller.get(path)).body["name"] == "Savings"


@pytest.mark.parametrize("wrong", ["organizations/x/ledgers/{0}", "organizations/{0}/ledgers/x"])
async def test_an_id_in_the_path_that_is_no_uuid_is_refused_with_the_models_code(caller: Caller, wrong: str) -> None:
    refused = await caller.get(f"/v1/{wrong.format(uuid4())}/portfolios")
    assert (refused.status, refused.body["code"]) == (400, "0065")
    path = await a_portfolio(caller)
    refused = await caller.patch(f"{path}g", {})
    assert (refused.status, refused.body["code"], refused.at_fault) == (400, "0065", ["path.portfolio_id"])


async def test_a_portfolio_that_accounts_name_cannot_be_deleted_until_they_let_it_go(caller: Caller) -> None:
    path = await a_portfolio(caller)
    account_id = await caller.an_account(portfolio_id=id_in(path))
    refused = await caller.delete(path)
    assert (refused.status, refused.body["type"]) == (409, "/problems/conflict")
    assert (await caller.patch(f"/accounts/{account_id}", {"portfolio_id": None})).body["portfolio_id"] is None
    assert (await caller.delete(path)).status == 204
    again = await caller.patch(f"/accounts/{account_id}", {"portfolio_id": id_in(path)})
    assert (again.status, again.at_fault) == (404, ["body.portfolio_id"])


async def test_naming_and_deleting_a_portfolio_at_once_never_leave_an_account_in_a_deleted_one(caller: Caller) -> None:
    base = await a_ledger(caller)
    outcomes = set()
    for _ in range(10):
        path = await a_portfolio(caller, base)
        account_id = await caller.an_account()
        body = {"user_id": str(uuid4()), "type": "PORTFOLIO", "portfolio_id": id_in(path)}
        deleted, opened, changed = await asyncio.gather(
            caller.delete(path),
            caller.post("/accounts", body),
            caller.patch(f"/accounts/{account_id}", {"portfolio_id": id_in(path)}),
        )
        outcomes.add((deleted.status, opened.status, changed.status))
    assert outcomes <= {(204, 404, 404), (409, 201, 200), (409, 201, 404), (409, 404, 200)}


async def test_an_idempotency_key_is_optional_and_replays_where_it_is_given(caller: Caller) -> None:
    base = await a_ledger(caller)
    without = [await send_raw(caller, "POST", base, '{"name": "n"}') for _ in range(2)]
    assert [answer.status for answer in without] == [201, 201]
    key = {"Idempotency-Key": str(uuid4())}
    first, second = [await caller.post(base, {"name": "n"}, **key) for _ in range(2)]
    assert (first.status, first.body) == (second.status, second.body)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (await caller.post(base, {"name": "other"}, **key)).status == 422
    assert len((await caller.get(base)).body["items"]) == 3


@pytest.mark.parametrize("spelled", [str.upper, lambda id_: f"{{{id_}}}", lambda id_: id_.replace("-", "")])
async def test_a_repeated_request_may_spell_the_ids_in_its_path_in_another_way(caller: Caller, spelled: Any) -> None:
    base = await a_ledger(caller)
    _, _, _, organization, _, ledger, _ = base.split("/")
    key = {"Idempotency-Key": str(uuid4())}
    first = await caller.post(base, {"name": "Savings"}, **key)
    second = await caller.post(base.replace(organization, spelled(organization)), {"name": "Savings"}, **key)
    third = await caller.post(base.replace(ledger, spelled(ledger)), {"name": "Savings"}, **key)
    assert second.body == third.body == first.body


async def test_reading_asks_for_the_read_scope_and_changing_for_admin(
    caller: Caller, new_caller: Any, session: Any
) -> None:
    path = await a_portfolio(caller)
    reader = await new_caller("portfolios:read accounts:admin")
    for answer in (await reader.patch(path, {}), await reader.delete(path)):
        assert answer.status == 403
    assert (await reader.get(path)).status == 404
    nobody = Caller(session, caller.credentials)
    for answer in (await nobody.get(path), await nobody.patch(path, {}), await nobody.delete(path)):
        assert answer.status == 401
