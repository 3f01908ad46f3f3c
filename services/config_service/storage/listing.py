"""A page of a client's rows, oldest first or newest first."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.kit.paging import Page


async def page_of(
    connection: AsyncConnection, rows: Select[Any], page: Page, *, tie_breaker: str
) -> tuple[Sequence[RowMapping], int]:
    """The rows of `page` and how many there are in all; `tie_breaker` orders what was made in the same instant."""
    total: int = (await connection.execute(select(func.count()).select_from(rows.subquery()))).scalar_one()
    columns = [rows.selected_columns[name] for name in (page.sort, tie_breaker)]
    ordered = [column.desc() if page.order == "desc" else column.asc() for column in columns]
    found = await connection.execute(rows.order_by(*ordered).limit(page.limit).offset(page.offset))
    return found.mappings().all(), total
