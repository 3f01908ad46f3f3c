"""A small API that makes things, each once: served by a test, or as a process that can be cut off at any boundary.

Usage: `python -m tests.integration.kit.things <database url> <port>`. Whoever sends `X-Client` is that client.
"""

import asyncio
import sys
from typing import Annotated
from uuid import UUID

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, Response
from pydantic import BaseModel
from sqlalchemy import text

from shared.contracts import new_id
from shared.kit.auth import Principal
from shared.kit.http import Creation, RequestBody, create_app, creating
from shared.kit.liveness import Liveness, Readiness
from shared.kit.outbox import Outbox
from shared.kit.refusals import Conflict
from shared.kit.unit_of_work import Database, UnitOfWork

TABLE = "CREATE TABLE things (id uuid PRIMARY KEY, client_id uuid NOT NULL, name text NOT NULL)"


class ThingRefused(Conflict):
    """There is no place for a thing."""


class ThingToMake(RequestBody):
    name: str


class Thing(BaseModel):
    id: UUID
    name: str
    secret: str | None


class Gate:
    """Holds whoever passes between the effect and the answer, while it is shut."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = 0
        self.refuses = False

    async def passed(self) -> None:
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        if self.refuses:
            raise ThingRefused


async def _caller(x_client: Annotated[UUID, Header()]) -> Principal:
    return Principal(x_client, frozenset())


Creating = Annotated[Creation, Depends(creating(_caller))]
Making = Annotated[Creation, Depends(creating(_caller, key_required=False))]


def things_app(database: Database, gate: Gate) -> FastAPI:
    router = APIRouter()

    async def made(creation: Creation, work: UnitOfWork, body: ThingToMake) -> Response:
        thing = Thing(id=new_id(), name=body.name, secret="for the first reader alone")
        insert = text("INSERT INTO things (id, client_id, name) VALUES (:id, :client_id, :name)")
        named = {"id": thing.id, "client_id": creation.principal.client_id, "name": thing.name}
        await work.connection.execute(insert, named)
        await gate.passed()
        return creation.keep(work, thing, location=f"/things/{thing.id}", revision=1, secrets={"secret"})

    @router.post("/things", status_code=201, response_model=Thing)
    async def make(creation: Creating, body: ThingToMake) -> Response:
        async with creation.unit_of_work(database) as work:
            return await made(creation, work, body)

    @router.post("/others", status_code=201, response_model=Thing)
    async def make_with_or_without_a_key(creation: Making, body: ThingToMake) -> Response:
        async with creation.unit_of_work(database) as work:
            return await made(creation, work, body)

    @router.post("/decided-twice", status_code=201, response_model=Thing)
    async def decide_twice(creation: Creating, body: ThingToMake) -> Response:
        await creation.replay(database)

        async def decide() -> Response:
            async with creation.unit_of_work(database) as work:
                return await made(creation, work, body)

        try:
            return await decide()
        except ThingRefused:
            gate.refuses = False
        return await decide()

    return create_app(title="things", version="1", routers=[router], liveness=Liveness(), readiness=Readiness())


if __name__ == "__main__":
    served = things_app(Database(sys.argv[1], Outbox("/things", 3)), Gate())
    uvicorn.run(served, port=int(sys.argv[2]), log_config=None, access_log=False)
