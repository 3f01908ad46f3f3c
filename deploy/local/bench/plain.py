"""config_service with one more route, the measure of all others: it recognises the caller and inserts one row.

Run as `python -m deploy.local.bench.plain` with the service's own environment, in the service's place.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy import event, text
from structlog.contextvars import get_contextvars

from deploy.local.instead import run_changed
from shared.kit.auth import Principal, requires
from shared.kit.service import Service
from shared.kit.unit_of_work import Database

PATH = "/plain"

_TABLE = text("CREATE TABLE IF NOT EXISTS plain (id uuid PRIMARY KEY)")
_INSERT = text("INSERT INTO plain (id) VALUES (:id)")


class Counted(BaseModel):
    """How many statements the requests so far have cost, BEGIN and COMMIT not counted."""

    statements: int = 0


def plain_routes(database: Database) -> APIRouter:
    """The route, and how many statements requests have cost."""
    router, counted = APIRouter(prefix=PATH), Counted()

    def count(*_: object) -> None:
        # The relay and the consumers work on the same engine, for no request.
        counted.statements += "request_id" in get_contextvars()

    event.listen(database.engine.sync_engine, "before_cursor_execute", count)

    @router.post("", status_code=201)
    async def insert(_: Annotated[Principal, Depends(requires("portfolios:admin"))]) -> Counted:
        async with database.unit_of_work() as work:
            await work.connection.execute(_INSERT, {"id": uuid4()})
        return counted

    return router


def _add_the_route(service: Service) -> None:
    service.routers = [*service.routers, plain_routes(service.database)]
    service.opens = [*service.opens, partial(_make_table, service.database)]


async def _make_table(database: Database) -> None:
    async with database.unit_of_work() as work:
        await work.connection.execute(_TABLE)


if __name__ == "__main__":
    run_changed("config_service", _add_the_route)
