"""Allocations: what makes one whole."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, Inexact, localcontext
from typing import Final
from uuid import UUID

from shared.contracts import AllocationItem, InstrumentIdType
from shared.kit.refusals import Conflict, FieldError, InvalidRequest, NotFound

_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Holds any sum of weights of 18 digits before and 18 after the point; a sum that does not fit is a fault of ours.
_EXACT: Final = Context(prec=60, traps=[Inexact])


@dataclass(frozen=True)
class Allocation:
    """A target: instruments with weights that sum to 1."""

    allocation_id: UUID
    name: str | None
    allocation: tuple[AllocationItem, ...]
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True)
class NewAllocation:
    """What a client asks for when it makes an allocation."""

    name: str | None
    allocation: tuple[AllocationItem, ...]


@dataclass(frozen=True)
class AllocationFilter:
    """Which of a client's allocations are asked for."""

    #: those made at this moment or later
    since: datetime | None = None
    #: those made before this moment
    before: datetime | None = None
    #: those that hold at least one of these instruments; of none, any
    instrument_ids: tuple[str, ...] = ()


class AllocationNotFound(NotFound):
    """There is no such allocation."""


class AllocationInUse(Conflict):
    """Accounts are configured with the allocation."""


class AllocationInvalid(InvalidRequest):
    """The allocation is not valid."""


def whole_allocation(items: Sequence[AllocationItem]) -> tuple[AllocationItem, ...]:
    """Give the items with their ids in canonical form; raises AllocationInvalid, which names every field at fault.

    The rules: at least one item, right ids, no instrument twice, every weight above 0, their sum exactly 1.
    """
    canonical = tuple(_canonical(item) for item in items)
    errors = [*_bad_items(canonical), *_repeated(canonical)]
    if not errors and _sum_of(canonical) != 1:
        errors = [FieldError("body.allocation", f"the weights sum to {_sum_of(canonical):f} and not to 1")]
    if errors:
        raise AllocationInvalid(
            f"The allocation is not valid: {errors[0].location} {errors[0].message}.", errors=errors
        )
    return canonical


def _canonical(item: AllocationItem) -> AllocationItem:
    if item.instrument_id_type == InstrumentIdType.ISIN:
        return item
    return item.model_copy(update={"instrument_id": item.instrument_id.lower()})


def _bad_items(items: Iterable[AllocationItem]) -> Iterator[FieldError]:
    for position, item in enumerate(items):
        place = f"body.allocation.{position}"
        if item.weight <= 0:
            yield FieldError(f"{place}.weight", "must be above 0")
        if item.instrument_id_type == InstrumentIdType.ISIN and not is_isin(item.instrument_id):
            yield FieldError(f"{place}.instrument_id", "is not an ISIN with a right check digit")
        if item.instrument_id_type == InstrumentIdType.UUID and not _UUID.fullmatch(item.instrument_id):
            yield FieldError(f"{place}.instrument_id", "is not a UUID")


def _repeated(items: Iterable[AllocationItem]) -> Iterator[FieldError]:
    seen: dict[str, int] = {}
    for position, item in enumerate(items):
        first = seen.setdefault(item.instrument_id, position)
        if first != position:
            yield FieldError(f"body.allocation.{position}.instrument_id", f"is the same as that of item {first}")


def _sum_of(items: Iterable[AllocationItem]) -> Decimal:
    with localcontext(_EXACT):
        return sum((item.weight for item in items), Decimal(0))


def is_isin(text: str) -> bool:
    """Say whether `text` is an ISIN whose check digit is right (ISO 6166: Luhn, letters written as 10 to 35)."""
    if not _ISIN.fullmatch(text):
        return False
    digits = [int(digit) for digit in reversed("".join(str(int(character, 36)) for character in text))]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
