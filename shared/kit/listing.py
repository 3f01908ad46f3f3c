"""The SQL side of lists: a page of rows by offset or by cursor, at the same cost however long the list is.

A list is sorted by one column that is never null and, among equals, by the id, both in one direction; an index over
(owner, column, id) then serves both directions, and a cursor's page costs as much as the first.
"""

from typing import Any

from sqlalchemy import RowMapping, Select, func, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from .paging import MOST_COUNTED, Page, Part


async def page_of(connection: AsyncConnection, rows: Select[Any], page: Page, *, id_column: str) -> Part[RowMapping]:
    """The rows of `page` out of all `rows`, which holds no order yet.

    `id_column` names the column that tells rows apart, a UUID. Rows are counted up to 10,000, and not at all behind a
    cursor. One statement; another one where the count does not follow from the page itself.
    """
    sort, row_id = (rows.selected_columns[name] for name in (page.sort, id_column))
    wanted = rows
    if page.after is not None:
        behind, position = tuple_(sort, row_id), (page.after.value, page.after.row_id)
        wanted = wanted.where(behind < position if page.order == "desc" else behind > position)
    ordered = [column.desc() if page.order == "desc" else column.asc() for column in (sort, row_id)]
    # One more than is shown tells whether another page follows.
    limited = wanted.order_by(*ordered).limit(page.limit + 1).offset(page.offset or None)
    found = (await connection.execute(limited)).mappings().all()
    shown = found[: page.limit]
    follows = len(found) > page.limit
    cursor = page.cursor_behind(shown[-1][page.sort], shown[-1][id_column]) if follows else None
    return Part(shown, await _total(connection, rows, page, len(shown), follows=follows), cursor)


async def _total(
    connection: AsyncConnection, rows: Select[Any], page: Page, shown: int, *, follows: bool
) -> int | None:
    if page.after is not None:
        return None
    if not follows and (shown or not page.offset):
        return page.offset + shown
    # Without its columns: an index alone can answer then.
    some: Select[Any] = rows.with_only_columns(literal_column("1"), maintain_column_froms=True).limit(MOST_COUNTED + 1)
    counted = select(func.count()).select_from(some.subquery())
    total: int = (await connection.execute(counted)).scalar_one()
    return total if total <= MOST_COUNTED else None
