"""Lists: which part of one is asked for, and the envelope in which it comes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, Self, TypeVar

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Order = Literal["asc", "desc"]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that is asked for."""

    offset: int
    limit: int
    #: The field to sort by, one of those that the list allows.
    sort: str
    order: Order


def paged_by(*sorts: str, order: Order = "asc") -> Callable[..., Awaitable[Page]]:
    """Make the dependency that reads a Page from the query; `sorts` may be sorted by, the first unless asked."""

    def known(sort: str) -> str:
        if sort not in sorts:
            message = f"must be one of {', '.join(sorts)}"
            raise ValueError(message)
        return sort

    shown = Query(description="the field to sort by", json_schema_extra={"enum": list(sorts)})
    default_order: Order = order

    # Async although it waits for nothing: FastAPI sends plain functions to a thread.
    async def page(
        limit: Annotated[int, Query(ge=1, le=1_000, description="how many at most")] = 100,
        offset: Annotated[int, Query(ge=0, le=10_000, description="how many to pass over")] = 0,
        sort: Annotated[str, shown, AfterValidator(known)] = sorts[0],
        order: Annotated[Order, Query(description="the direction to sort in")] = default_order,
    ) -> Page:
        return Page(offset, limit, sort, order)

    return page


class PageMeta(BaseModel):
    """Where in the whole list its part stands."""

    model_config = ConfigDict(frozen=True)

    offset: int = Field(description="how many came before the first one here")
    limit: int = Field(description="how many were asked for at most")
    count: int = Field(description="how many are here")
    total_count: int | None = Field(description="how many there are; null where counting them costs too much")
    sort: str = Field(description="the field they are sorted by")
    order: Order = Field(description="the direction they are sorted in")


class Listing(BaseModel, Generic[Item]):
    """A part of a list in its envelope."""

    model_config = ConfigDict(frozen=True)

    meta: PageMeta
    data: Sequence[Item]

    @classmethod
    def of(cls, page: Page, data: Sequence[Item], total_count: int | None) -> Self:
        """Put the rows of a page into the envelope."""
        meta = PageMeta(
            offset=page.offset,
            limit=page.limit,
            count=len(data),
            total_count=total_count,
            sort=page.sort,
            order=page.order,
        )
        return cls(meta=meta, data=data)
