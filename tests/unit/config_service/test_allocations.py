"""What makes an allocation whole."""

from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.config_service.domain import AllocationInvalid, is_isin, whole_allocation
from shared.contracts import AllocationItem, InstrumentIdType

ISINS = ("US0378331005", "IE00B4L5Y983", "DE0005557508", "GB0002634946", "AU0000XVGZA3")


def an_item(instrument_id: str = ISINS[0], weight: str = "1", kind: str = "ISIN") -> AllocationItem:
    # Unchecked, as the API makes them: its weights have more digits than the contract takes.
    return AllocationItem.model_construct(
        instrument_id=instrument_id, instrument_id_type=InstrumentIdType(kind), weight=Decimal(weight)
    )


def items_of_weights(*weights: str) -> list[AllocationItem]:
    return [an_item(str(uuid4()), weight, "UUID") for weight in weights]


def locations_refused(*items: AllocationItem) -> list[str]:
    with pytest.raises(AllocationInvalid) as refused:
        whole_allocation(items)
    return [error.location for error in refused.value.errors]


@pytest.mark.parametrize("isin", ISINS)
def test_an_isin_with_its_check_digit_is_one(isin: str) -> None:
    assert is_isin(isin)


@pytest.mark.parametrize("isin", ISINS)
def test_an_isin_with_any_other_check_digit_is_none(isin: str) -> None:
    assert [digit for digit in "0123456789" if is_isin(isin[:-1] + digit)] == [isin[-1]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "US037833100",
        "us0378331005",
        "US03783310055",
        " US0378331005",
        "US0378331005\n",
        "U10378331005",
        "US\uff10378331005",
    ],
)
def test_what_does_not_look_like_an_isin_is_none(text: str) -> None:
    assert not is_isin(text)


@pytest.mark.parametrize(
    "weights", [("1",), ("0.7", "0.3"), ("0.1",) * 10, ("0.333333333333333333",) * 2 + ("0.333333333333333334",)]
)
def test_weights_that_sum_to_exactly_1_are_taken_as_they_are_written(weights: tuple[str, ...]) -> None:
    assert [str(item.weight) for item in whole_allocation(items_of_weights(*weights))] == list(weights)


@pytest.mark.parametrize(
    "weights",
    [
        ("0.7", "0.2"),
        ("0.7", "0.300000000000000001"),
        ("0.999999999999999999",),
        ("123456789012345678.000000000000000001",),
        ("999999999999999999.999999999999999999",) * 3,
    ],
)
def test_weights_that_miss_1_by_however_little_are_refused(weights: tuple[str, ...]) -> None:
    assert locations_refused(*items_of_weights(*weights)) == ["body.allocation"]


@given(st.lists(st.integers(1, 10**18 - 1), min_size=1, max_size=40))
def test_the_rest_that_is_missing_to_1_makes_any_weights_whole(parts: list[int]) -> None:
    scale = Decimal(10) ** -18
    total = sum(parts)
    # Weights of 18 decimals whose rest to 1 is added as the last item, if there is room for it.
    if total < 10**18:
        weights = [part * scale for part in [*parts, 10**18 - total]]
        whole_allocation(items_of_weights(*(f"{weight:f}" for weight in weights)))
    else:
        assert locations_refused(*items_of_weights(*(f"{part * scale:f}" for part in [*parts, 1])))


@pytest.mark.parametrize("weight", ["0", "0.000", "-0", "-0.5"])
def test_a_weight_that_is_not_above_0_is_refused(weight: str) -> None:
    whole, *others = items_of_weights("1", weight)
    assert locations_refused(whole, *others) == ["body.allocation.1.weight"]


def test_an_instrument_that_is_there_twice_is_refused_however_it_is_written() -> None:
    instrument = str(uuid4())
    items = [an_item(instrument, "0.5", "UUID"), an_item(instrument.upper(), "0.5", "UUID")]
    assert locations_refused(*items) == ["body.allocation.1.instrument_id"]


@pytest.mark.parametrize(
    "instrument_id",
    [
        "",
        "x",
        "24c230eb-5d4f-4462-9af8-6612e7bd3afg",
        "{24c230eb-5d4f-4462-9af8-6612e7bd3afa}",
        "24c230eb5d4f44629af86612e7bd3afa",
    ],
)
def test_an_instrument_id_that_is_no_uuid_is_refused(instrument_id: str) -> None:
    assert locations_refused(an_item(instrument_id, "1", "UUID")) == ["body.allocation.0.instrument_id"]


def test_every_field_at_fault_is_named_at_once() -> None:
    items = [an_item("US0378331006", "0.5"), an_item(ISINS[1], "0"), an_item(ISINS[1], "0.5")]
    assert locations_refused(*items) == [
        "body.allocation.0.instrument_id",
        "body.allocation.1.weight",
        "body.allocation.2.instrument_id",
    ]


def test_an_allocation_of_nothing_is_refused() -> None:
    assert locations_refused() == ["body.allocation"]
