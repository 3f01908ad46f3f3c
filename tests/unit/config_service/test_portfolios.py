"""What a merge patch makes of a ledger portfolio, and by which code a wrong one is refused."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.config_service.domain import (
    LedgerRequestInvalid,
    Portfolio,
    PortfolioPatch,
    PortfolioResource,
    PortfolioToMake,
    fields_after,
    fields_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(-(2.0**63), 2.0**62)
SCALARS = st.none() | st.booleans() | TEXTS | NUMBERS
KEYS = st.sampled_from(["a", "b", "c", "ä.b", ""])
METADATA = st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3), max_size=5)
STATUSES = st.fixed_dictionaries({}, optional={"code": TEXTS.filter(bool), "description": st.none() | TEXTS})
PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS.filter(bool),
        "entityId": st.none() | TEXTS,
        "status": STATUSES,
        "metadata": st.none() | METADATA,
    },
)


def a_portfolio(**changes: Any) -> Portfolio:
    portfolio = Portfolio(
        portfolio_id=uuid4(),
        organization_id=uuid4(),
        ledger_id=uuid4(),
        name="Savings",
        entity_id="entity",
        status_code="ACTIVE",
        status_description="as it was",
        metadata={"kept": 1, "changed": "before"},
        revision=1,
        created_at=NOW,
        updated_at=NOW,
        deleted_at=None,
    )
    return replace(portfolio, **changes)


def patched(portfolio: Portfolio, changes: Mapping[str, Any]) -> Portfolio:
    return replace(portfolio, **vars(fields_after(portfolio, PortfolioPatch.reading(changes))))


def shown(portfolio: Portfolio) -> dict[str, Any]:
    return PortfolioResource.of(portfolio).model_dump(mode="json")


def model(before: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The rules once more, on the resource as it is shown and one field after the other."""
    after: dict[str, Any] = json.loads(json.dumps(before))
    for field, value in patch.items():
        if field == "metadata":
            after[field] = {
                k: v for k, v in {**(after[field] if value else {}), **(value or {})}.items() if v is not None
            }
            if value == {}:
                after[field] = before[field]
        elif field == "status":
            if "code" in value:
                after[field] = {"code": value["code"], "description": None}
            if "description" in value:
                after[field]["description"] = value["description"]
        else:
            after[field] = value
    return after


@given(st.lists(PATCHES, max_size=4))
def test_any_patches_one_after_the_other_make_what_the_rules_say(patches: list[dict[str, Any]]) -> None:
    portfolio = a_portfolio()
    expected = shown(portfolio)
    for patch in patches:
        portfolio = patched(portfolio, patch)
        expected = model(expected, patch)
        assert shown(portfolio) == expected


@given(PATCHES)
def test_a_patch_applied_twice_makes_what_it_makes_once(patch: dict[str, Any]) -> None:
    once = patched(a_portfolio(), patch)
    assert patched(once, patch) == once


@given(PATCHES, PATCHES)
def test_patches_of_different_fields_make_the_same_in_either_order(one: dict[str, Any], other: dict[str, Any]) -> None:
    theirs = {field: value for field, value in other.items() if field not in one}
    portfolio = a_portfolio()
    assert patched(patched(portfolio, one), theirs) == patched(patched(portfolio, theirs), one)


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ({}, ("ACTIVE", "as it was")),
        ({"status": {}}, ("ACTIVE", "as it was")),
        ({"status": {"code": "BLOCKED"}}, ("BLOCKED", None)),
        ({"status": {"code": "ACTIVE"}}, ("ACTIVE", None)),
        ({"status": {"description": "new"}}, ("ACTIVE", "new")),
        ({"status": {"description": None}}, ("ACTIVE", None)),
        ({"status": {"code": "BLOCKED", "description": "new"}}, ("BLOCKED", "new")),
    ],
)
def test_a_status_is_set_as_a_whole_unless_it_names_no_code(patch: dict[str, Any], status: tuple[str, str]) -> None:
    after = patched(a_portfolio(), patch)
    assert (after.status_code, after.status_description) == status


def test_a_new_portfolio_is_active_and_drops_keys_without_a_value() -> None:
    fields = fields_of(PortfolioToMake.reading({"name": "n", "metadata": {"a": None, "b": [None, 1]}}))
    assert (fields.status_code, fields.status_description, fields.entity_id) == ("ACTIVE", None, None)
    assert fields.metadata == {"b": [None, 1]}


@pytest.mark.parametrize(
    ("changes", "code", "location"),
    [
        ({"name": ""}, "0047", "body.name"),
        ({"name": None}, "0047", "body.name"),
        ({"name": "x" * 257}, "0047", "body.name"),
        ({"name": 1}, "0047", "body.name"),
        ({"entityId": "x" * 257}, "0047", "body.entityId"),
        ({"status": None}, "0047", "body.status"),
        ({"status": "BLOCKED"}, "0047", "body.status"),
        ({"status": {"code": None}}, "0047", "body.status.code"),
        ({"status": {"code": ""}}, "0047", "body.status.code"),
        ({"status": {"code": "x" * 101}}, "0047", "body.status.code"),
        ({"status": {"description": "x" * 257}}, "0047", "body.status.description"),
        ({"status": {"reason": "x"}}, "0053", "body.status.reason"),
        ({"id": str(uuid4())}, "0053", "body.id"),
        ({"createdAt": "2026-01-01T00:00:00Z"}, "0053", "body.createdAt"),
        ({"entity_id": "x"}, "0053", "body.entity_id"),
        ({"metadata": []}, "0047", "body.metadata"),
        ({"metadata": {"k" * 101: 1}}, "0050", f"body.metadata.{'k' * 101}"),
        ({"metadata": {"k": "v" * 2001}}, "0051", "body.metadata.k"),
        ({"metadata": {"k": ["v" * 2001]}}, "0051", "body.metadata.k"),
        ({"metadata": {"k": {}}}, "0067", "body.metadata.k"),
        ({"metadata": {"k": [{}]}}, "0067", "body.metadata.k"),
        ({"metadata": {"k": [[]]}}, "0067", "body.metadata.k"),
        ({"metadata": {"k": 2**63}}, "0047", "body.metadata.k"),
        ({"metadata": {"k": float("inf")}}, "0047", "body.metadata.k"),
        ({"metadata": {"k": float("nan")}}, "0047", "body.metadata.k"),
        ({"metadata": {"k": 2.0**63}}, "0047", "body.metadata.k"),
        ({"metadata": {"k": "a\0b"}}, "0047", "body.metadata.k"),
        ({"metadata": {"k": "\ud800"}}, "0047", "body.metadata.k"),
    ],
)
def test_a_wrong_patch_is_refused_by_field_and_code(changes: dict[str, Any], code: str, location: str) -> None:
    with pytest.raises(LedgerRequestInvalid) as refused:
        PortfolioPatch.reading(changes)
    assert (refused.value.code, [error.location for error in refused.value.errors]) == (code, [location])


def test_a_name_is_missing_only_where_something_new_is_made() -> None:
    with pytest.raises(LedgerRequestInvalid) as refused:
        PortfolioToMake.reading({})
    assert refused.value.code == "0009"
    portfolio = a_portfolio()
    assert patched(portfolio, {}) == portfolio


def test_where_many_things_are_wrong_the_unexpected_field_gives_the_code_and_all_are_named() -> None:
    with pytest.raises(LedgerRequestInvalid) as refused:
        PortfolioToMake.reading({"entityId": 1, "colour": "red"})
    assert refused.value.code == "0053"
    assert [error.location for error in refused.value.errors] == ["body.name", "body.entityId", "body.colour"]


def test_the_longest_texts_are_taken() -> None:
    metadata = {"k" * 100: "v" * 2000, "list": ["v" * 2000], "max": 2**63 - 1, "min": -(2**63), "tiny": 5e-324}
    patch = {"name": "\U0001f4c8" * 256, "status": {"code": "c" * 100, "description": "d" * 256}, "metadata": metadata}
    assert patched(a_portfolio(metadata={}), patch).metadata == metadata


def test_metadata_that_grows_too_large_by_a_patch_is_refused() -> None:
    large = {str(number): "v" * 2000 for number in range(64)}
    with pytest.raises(LedgerRequestInvalid) as refused:
        patched(a_portfolio(metadata=large), {"metadata": {"one": "v" * 2000, "more": "v" * 2000}})
    assert (refused.value.code, [error.location for error in refused.value.errors]) == ("0047", ["body.metadata"])
    assert len(patched(a_portfolio(metadata=large), {"metadata": {"0": None, "one": "v" * 2000}}).metadata) == 64
