"""Lists of the ledger over HTTP: pages by number or by cursor, in the ledger's own envelope."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Self, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response

from services.config_service.domain import (
    BAD_DATES,
    BAD_QUERY,
    LIMIT_EXCEEDED,
    PortfolioFilter,
    metadata_in,
    query_refusal,
)
from shared.kit.cursors import fingerprint_of, position_in
from shared.kit.http import Span, span_asked
from shared.kit.paging import MOST_PASSED_OVER, Order, Page, Part
from shared.kit.refusals import Refused

Item = TypeVar("Item")

_NOT_FILTERS = frozenset({"limit", "page", "sort_order", "cursor"})


class Items(BaseModel, Generic[Item]):
    """A page of a list in the ledger's envelope; the address of the next one is in the header Link."""

    model_config = ConfigDict(frozen=True)

    items: Sequence[Item] = Field(description="The page")
    page: int = Field(description="Which page it is; 1 where a cursor says where it begins", examples=[1])
    limit: int = Field(description="How many were asked for at most", examples=[10])

    @classmethod
    def of(cls, page: Page, items: Sequence[Item]) -> Self:
        """Put a page into the envelope."""
        return cls(items=items, page=page.offset // page.limit + 1, limit=page.limit)


_CURSOR: Final[Any] = Query(
    max_length=1_000,
    json_schema_extra={"format": "cursor", "pattern": "^[A-Za-z0-9_-]+$"},
    description="From the header Link of the page before, instead of page; costs the same however far it goes",
)


async def _page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most")] = 10,
    page: Annotated[int, Query(ge=1, le=MOST_PASSED_OVER + 1, description="Which page, from 1")] = 1,
    sort_order: Annotated[Order, Query(description="By the time of making: oldest or newest first")] = "asc",
    cursor: Annotated[str | None, _CURSOR] = None,
) -> Page:
    filters = sorted(pair for pair in request.query_params.multi_items() if pair[0] not in _NOT_FILTERS)
    fingerprint = fingerprint_of([request.url.path, *(part for pair in filters for part in pair)])
    if cursor is not None:
        return _page_behind(cursor, Page((page - 1) * limit, limit, "created_at", sort_order, None, fingerprint))
    passed_over = (page - 1) * limit
    if passed_over > MOST_PASSED_OVER:
        message = f"passes over more than {MOST_PASSED_OVER} items; go on with the cursor in the header Link"
        raise query_refusal("page", message, LIMIT_EXCEEDED)
    return Page(passed_over, limit, "created_at", sort_order, None, fingerprint)


def _page_behind(cursor: str, asked: Page) -> Page:
    try:
        position, _, order = position_in(cursor, asked.fingerprint, {"created_at": datetime})
    except Refused as refused:
        raise query_refusal("cursor", refused.errors[0].message, BAD_QUERY) from refused
    if asked.offset or order != asked.order:
        raise query_refusal("cursor", "stands without page, and beside the same sort_order", BAD_QUERY)
    return Page(0, asked.limit, asked.sort, asked.order, position, asked.fingerprint)


#: The part of a list that is asked for; what lies too deep for page numbers is reached by cursor.
LedgerPage = Annotated[Page, Depends(_page)]


async def _filter(
    request: Request,
    span: Annotated[Span, Depends(span_asked)],
    entity_id: Annotated[str | None, Query(max_length=256, description="Who is responsible for them")] = None,
    status: Annotated[str | None, Query(max_length=100, description="The code of their status")] = None,
) -> PortfolioFilter:
    if span.since is not None and span.before is not None and span.before <= span.since:
        raise query_refusal("end_date", "comes before start_date", BAD_DATES)
    wanted = metadata_in(request.query_params.multi_items())
    return PortfolioFilter(span.since, span.before, entity_id, status, wanted)


#: Which of a ledger's portfolios are wanted.
WantedPortfolios = Annotated[PortfolioFilter, Depends(_filter)]


def link_next(request: Request, response: Response, part: Part[Any]) -> None:
    """Lead to the next page with the header Link (RFC 8288), as long as there is one."""
    if part.next_cursor is None:
        return
    url = URL(scope=request.scope).remove_query_params("page").include_query_params(cursor=part.next_cursor)
    response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
