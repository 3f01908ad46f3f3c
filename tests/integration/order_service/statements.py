"""How many statements the database is asked to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from shared.kit.unit_of_work import Database


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements of a `with` block, as they come; beginning and ending transactions is not among them."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
