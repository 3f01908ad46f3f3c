"""Lists: which part of one is asked for, and the envelope in which it comes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.requests import Request

from .cursors import Position, cursor_at, fingerprint_of, position_in
from .refusals import FieldError, InvalidRequest

Order = Literal["asc", "desc"]
Item = TypeVar("Item")
Shown = TypeVar("Shown")

MOST_PASSED_OVER: Final = 10_000
#: how many rows are counted at most for `total_count`
MOST_COUNTED: Final = 10_000

_NO_KINDS: Mapping[str, type[Any]] = MappingProxyType({})
#: What is no filter of a list.
_PAGING = frozenset({"limit", "offset", "sort", "order", "cursor"})


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that is asked for."""

    offset: int
    limit: int
    #: The field to sort by, one of those that the list allows.
    sort: str
    order: Order
    #: Behind which row it begins, where a cursor says so; `offset` is 0 then.
    after: Position | None = None
    #: What the list is a list of, its path and its filters; cursors of other lists are refused.
    fingerprint: str = ""

    def cursor_behind(self, value: object, row_id: UUID) -> str:
        """Give the cursor for the page behind the row `row_id`, whose sort field holds `value`."""
        return cursor_at(Position(value, row_id), self.fingerprint, self.sort, self.order)


@dataclass(frozen=True, slots=True)
class Part(Generic[Item]):
    """A page of a list as it was found."""

    items: Sequence[Item]
    #: how many there are in the whole list; None where they are not counted
    total_count: int | None = None
    #: where the next page begins; None at the end
    next_cursor: str | None = None

    def of(self, make: Callable[[Item], Shown]) -> "Part[Shown]":
        """Give the same part of the list with `make` of each item."""
        return Part([make(item) for item in self.items], self.total_count, self.next_cursor)


def paged_by(
    *sorts: str, order: Order = "asc", kinds: Mapping[str, type[Any]] = _NO_KINDS
) -> Callable[..., Awaitable[Page]]:
    """Make the dependency that reads a Page from the query; `sorts` may be sorted by, the first unless asked.

    Columns to sort by are never null. `kinds` says which of them hold what (str, int, datetime or UUID); unless it
    does, those whose names end in `_at` hold moments and all others texts. Raises InvalidRequest for a cursor that is
    not of this list, sort and order.
    """
    types = {sort: kinds.get(sort, datetime if sort.endswith("_at") else str) for sort in sorts}

    def known(sort: str | None) -> str | None:
        if sort is not None and sort not in types:
            message = f"must be one of {', '.join(sorts)}"
            raise ValueError(message)
        return sort

    shown = Query(description="the field to sort by", json_schema_extra={"enum": list(sorts), "default": sorts[0]})
    ordered = Query(description="the direction to sort in", json_schema_extra={"default": order})
    default_order: Order = order

    # Async although it waits for nothing: FastAPI sends plain functions to a thread.
    async def page(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1_000, description="how many at most")] = 100,
        offset: Annotated[int, _OFFSET, AfterValidator(_not_too_far)] = 0,
        sort: Annotated[str | None, shown, AfterValidator(known)] = None,
        order: Annotated[Order | None, ordered] = None,
        cursor: Annotated[str | None, _CURSOR] = None,
    ) -> Page:
        fingerprint = _fingerprint_of(request)
        if cursor is None:
            return Page(offset, limit, sort or sorts[0], order or default_order, None, fingerprint)
        if offset:
            raise InvalidRequest(errors=[FieldError("query.offset", "must be left out beside a cursor")])
        position, its_sort, its_order = position_in(cursor, fingerprint, types)
        if sort not in {None, its_sort} or order not in {None, its_order}:
            raise InvalidRequest(errors=[FieldError("query.cursor", "is of another sort or order")])
        return Page(0, limit, its_sort, "desc" if its_order == "desc" else "asc", position, fingerprint)

    return page


_OFFSET = Query(
    ge=0,
    json_schema_extra={"maximum": MOST_PASSED_OVER},
    description="how many to pass over; to go further than 10,000, use cursor",
)
_CURSOR = Query(
    max_length=1_000,
    # Checked with the rest of it; only those that a list has given are of any use.
    json_schema_extra={"format": "cursor", "pattern": "^[A-Za-z0-9_-]+$"},
    description="`meta.next_cursor` of the page before, with the same filters; costs the same however far it goes",
)


def _not_too_far(offset: int) -> int:
    if offset > MOST_PASSED_OVER:
        message = f"must be at most {MOST_PASSED_OVER}; to go further, use cursor"
        raise ValueError(message)
    return offset


def _fingerprint_of(request: Request) -> str:
    filters = sorted((name, value) for name, value in request.query_params.multi_items() if name not in _PAGING)
    return fingerprint_of([request.url.path, *(part for pair in filters for part in pair)])


class PageMeta(BaseModel):
    """Where in the whole list its part stands."""

    model_config = ConfigDict(frozen=True)

    offset: int = Field(description="how many came before the first one here; 0 where a cursor says where it begins")
    limit: int = Field(description="how many were asked for at most")
    count: int = Field(description="how many are here")
    total_count: int | None = Field(
        description="how many there are; null with a cursor, and where there are more than 10,000"
    )
    sort: str = Field(description="the field they are sorted by")
    order: Order = Field(description="the direction they are sorted in")
    next_cursor: str | None = Field(None, description="the cursor for the next page; null at the end")


class Listing(BaseModel, Generic[Item]):
    """A part of a list in its envelope."""

    model_config = ConfigDict(frozen=True)

    meta: PageMeta = Field(description="where in the whole list this part stands")
    data: Sequence[Item] = Field(description="the part")

    @classmethod
    def of(cls, page: Page, data: Sequence[Item], total_count: int | None, next_cursor: str | None = None) -> Self:
        """Put the rows of a page into the envelope."""
        meta = PageMeta(
            offset=page.offset,
            limit=page.limit,
            count=len(data),
            total_count=total_count,
            sort=page.sort,
            order=page.order,
            next_cursor=next_cursor,
        )
        return cls(meta=meta, data=data)

    @classmethod
    def showing(cls, page: Page, part: Part[Item]) -> Self:
        """Put a part, as the storage has found it, into the envelope."""
        return cls.of(page, part.items, part.total_count, part.next_cursor)
