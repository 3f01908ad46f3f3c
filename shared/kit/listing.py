"""The SQL side of lists: a page of rows by offset or by cursor, at the same cost however long the list is.

A list is sorted by one column that is never null and, among equals, by the id, both in one direction; an index over
(owner, column, id) then serves both directions, and a cursor's page costs as much as the first.

Conditions that no index serves are sifted by: a page looks at so many rows at most and comes back short where too few
of them suit, with a cursor that goes on behind the last one that was looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, Select, Subquery, func, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from .paging import MOST_COUNTED, Page, Part

#: how many rows a page that is sifted looks at
MOST_LOOKED_AT: Final = 10_000


async def page_of(connection: AsyncConnection, rows: Select[Any], page: Page, *, id_column: str) -> Part[RowMapping]:
    """The rows of `page` out of all `rows`, which holds no order yet.

    `id_column` names the column that tells rows apart, a UUID. Rows are counted up to 10,000, and not at all behind a
    cursor. One statement; another one where the count does not follow from the page itself.
    """
    # One more than is shown tells whether another page follows.
    limited = _from_cursor_on(rows, page, id_column).limit(page.limit + 1).offset(page.offset or None)
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


async def sifted_page_of(
    connection: AsyncConnection, rows: Select[Any], suits: Mapping[str, object], page: Page, *, id_column: str
) -> Part[RowMapping]:
    """As `page_of`, of those among `rows` whose columns have the values of `suits`.

    Looks at 10,000 rows at most; a page that is shorter than asked for has a cursor where more were not looked at.
    """
    if not suits:
        return await page_of(connection, rows, page, id_column=id_column)
    in_order = _from_cursor_on(rows, page, id_column)
    looked_at = in_order.limit(MOST_LOOKED_AT).subquery("looked_at")
    suiting = [looked_at.c[name] == value for name, value in suits.items()]
    limited = select(looked_at).where(*suiting).order_by(*_order(page, looked_at.c[page.sort], looked_at.c[id_column]))
    limited = limited.limit(page.limit + 1).offset(page.offset or None)
    found = (await connection.execute(limited)).mappings().all()
    shown = found[: page.limit]
    if len(found) > page.limit:
        total = None if page.after else await _suiting_total(connection, looked_at, suiting)
        return Part(shown, total, page.cursor_behind(shown[-1][page.sort], shown[-1][id_column]))
    last = (await connection.execute(in_order.offset(MOST_LOOKED_AT - 1).limit(2))).mappings().all()
    if len(last) > 1:
        return Part(shown, None, page.cursor_behind(last[0][page.sort], last[0][id_column]))
    return Part(shown, None if page.after or (page.offset and not shown) else page.offset + len(shown))


async def _suiting_total(
    connection: AsyncConnection, looked_at: Subquery, suits: Sequence[ColumnElement[bool]]
) -> int | None:
    counted = select(func.count().filter(*suits), func.count()).select_from(looked_at)
    total, of = (await connection.execute(counted)).one()
    return int(total) if of < MOST_LOOKED_AT else None


def _from_cursor_on(rows: Select[Any], page: Page, id_column: str) -> Select[Any]:
    sort, row_id = (rows.selected_columns[name] for name in (page.sort, id_column))
    if page.after is not None:
        behind, position = tuple_(sort, row_id), (page.after.value, page.after.row_id)
        rows = rows.where(behind < position if page.order == "desc" else behind > position)
    return rows.order_by(*_order(page, sort, row_id))


def _order(page: Page, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    return [column.desc() if page.order == "desc" else column.asc() for column in columns]
