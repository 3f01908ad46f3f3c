"""Amounts of money."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.order_service.domain import AmountNotPlaceable, AmountTooFine, check_amount
from services.order_service.domain.currencies import EXPONENTS


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("100.00", "EUR"), ("0.01", "USD"), ("5", "JPY"), ("1.234", "BHD"), ("1.2345", "CLF"), ("9" * 18 + ".99", "EUR")],
)
def test_an_amount_in_the_currencys_decimals_is_placeable(amount: str, currency: str) -> None:
    check_amount(Decimal(amount), currency)


@pytest.mark.parametrize(
    ("amount", "currency", "field"),
    [
        ("0", "EUR", "body.cash_amount"),
        ("-1.00", "EUR", "body.cash_amount"),
        ("1" + "0" * 18, "EUR", "body.cash_amount"),
        ("1.00", "XXX", "body.currency"),
        ("1.00", "XAU", "body.currency"),
        ("1.00", "HRK", "body.currency"),
        ("1.00", "eur", "body.currency"),
    ],
)
def test_other_amounts_are_not_and_the_field_is_named(amount: str, currency: str, field: str) -> None:
    with pytest.raises(AmountNotPlaceable) as refused:
        check_amount(Decimal(amount), currency)
    assert [error.location for error in refused.value.errors] == [field]


@pytest.mark.parametrize(("amount", "currency"), [("0.001", "EUR"), ("1.0", "JPY"), ("1.00000", "CLF")])
def test_amounts_finer_than_their_currency_are_not_either(amount: str, currency: str) -> None:
    with pytest.raises(AmountTooFine) as refused:
        check_amount(Decimal(amount), currency)
    assert [error.location for error in refused.value.errors] == ["body.cash_amount"]


@given(st.sampled_from(sorted(EXPONENTS)), st.integers(1, 10**9))
def test_the_smallest_unit_of_every_currency_is_placeable_and_a_tenth_of_it_is_not(currency: str, units: int) -> None:
    check_amount(Decimal(units).scaleb(-EXPONENTS[currency]), currency)
    with pytest.raises(AmountTooFine):
        check_amount(Decimal(units).scaleb(-EXPONENTS[currency] - 1), currency)


def test_every_code_is_listed_once_and_well_formed() -> None:
    assert len(EXPONENTS) > 150
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)
