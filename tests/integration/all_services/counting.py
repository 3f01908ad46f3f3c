"""A service that tells how many statements each request has cost, run in the service's place.

`python -m tests.integration.all_services.counting SERVICE [--migrate]`, with the service's own environment.
"""

import sys
from collections import Counter

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import event
from structlog.contextvars import get_contextvars

import shared.kit.quick_start  # noqa: F401 -- before all that takes long to import
from deploy.local.instead import run_changed
from shared.kit.service import Service
from shared.kit.unit_of_work import Database


class Cost(BaseModel):
    """What a request has cost; beginning and ending transactions is not counted."""

    statements: int


def _counting(database: Database) -> APIRouter:
    router, counted = APIRouter(prefix="/statements"), Counter[str]()

    def count(_: object, __: object, statement: str, *___: object) -> None:
        # Allowances are spent in advance, for whichever requests come next; and how often the read barrier looks says
        # how far the bus is, and nothing of the route.
        if "allowances" not in statement and "FROM applied_positions" not in statement:
            counted[str(get_contextvars().get("request_id"))] += 1

    event.listen(database.engine.sync_engine, "before_cursor_execute", count)

    @router.get("/{request_id}")
    async def cost(request_id: str) -> Cost:
        return Cost(statements=counted[request_id])

    return router


def _count(service: Service) -> None:
    service.routers = [*service.routers, _counting(service.database)]


if __name__ == "__main__":
    name, *options = sys.argv[1:]
    run_changed(name, _count, *options)
