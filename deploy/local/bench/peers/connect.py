"""Kafka Connect as a process on the stack's leash, and its connector, which is started and stopped by REST."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import aiohttp
import psutil

from deploy.local.bench.peers.debezium import (
    CONNECTOR,
    Variant,
    command_line,
    connector,
    debezium_jars,
    worker_properties,
)
from deploy.local.errors import ProcessFailedError
from deploy.local.java import find_java
from deploy.local.ports import LOOPBACK, free_ports, somebody_listens
from deploy.local.processes import SERVICE_RANK, Command, LeashedProcess, wait_until
from deploy.local.stack import Stack

_READY_SECONDS = 120.0
_STATE_SECONDS = 60.0
_ANSWER_SECONDS = 60.0
_LOOK_EVERY = 0.05
#: of requests without a body too, which would be refused otherwise
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Connect:
    """A running worker with one connector."""

    worker: LeashedProcess
    rest: aiohttp.ClientSession

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[psutil.Process]:
        """Let the connector publish until the block ends; answers its JVM, which goes on."""
        await self._ask("PUT", f"/connectors/{CONNECTOR}/resume")
        await self._until("RUNNING")
        try:
            yield psutil.Process(self.worker.pid)
        finally:
            await self._ask("PUT", f"/connectors/{CONNECTOR}/stop")
            await self._until("STOPPED")

    async def answers(self) -> None:
        """Wait until its REST API serves: it listens a while before."""
        deadline = time.monotonic() + _READY_SECONDS
        while not await self._serves():
            if time.monotonic() > deadline:
                raise ProcessFailedError("Kafka Connect does not answer.", self.worker.log)
            await asyncio.sleep(_LOOK_EVERY)

    async def forget(self) -> None:
        """Let the connector, which stands still, forget how far it has read."""
        await self._ask("DELETE", f"/connectors/{CONNECTOR}/offsets")

    async def add(self, settings: dict[str, str]) -> None:
        """Make the connector, which does nothing yet."""
        body = {"name": CONNECTOR, "config": settings, "initial_state": "STOPPED"}
        await self._ask("POST", "/connectors", body)
        await self._until("STOPPED")

    async def _serves(self) -> bool:
        async with self.rest.get("/connectors") as answer:
            return answer.ok

    async def _until(self, wanted: str) -> None:
        """Wait until connector and tasks are in this state."""
        deadline = time.monotonic() + _STATE_SECONDS
        while not arrived(state := await self._ask("GET", f"/connectors/{CONNECTOR}/status"), wanted):
            if time.monotonic() > deadline:
                raise ProcessFailedError(f"Debezium did not become {wanted}: {state}.", self.worker.log)
            await asyncio.sleep(_LOOK_EVERY)

    async def _ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 -- JSON of somebody else's
        async with self.rest.request(method, path, data=json.dumps(body) if body else None) as answer:
            text = await answer.text()
            if method == "GET" and answer.status == HTTPStatus.NOT_FOUND:
                return {}  # not there yet
            if not answer.ok:
                raise ProcessFailedError(f"Kafka Connect answers {answer.status} to {method} {path}: {text}")
            return json.loads(text) if text else {}


def arrived(status: dict[str, Any], wanted: str) -> bool:
    """Whether a connector's status is the wanted one; raises ProcessFailedError where it has failed."""
    parts = [status.get("connector") or {}, *status.get("tasks", ())]
    for part in parts:
        if part.get("state") == "FAILED":
            trace = "\n".join(str(part.get("trace", "")).splitlines()[:10])
            raise ProcessFailedError(f"Debezium failed: {trace}")
    if wanted == "RUNNING":
        return len(parts) > 1 and all(part.get("state") == wanted for part in parts)
    return len(parts) == 1 and parts[0].get("state") == wanted


@asynccontextmanager
async def kafka_connect(stack: Stack, dsn: str, topic: str, variant: Variant) -> AsyncIterator[Connect]:
    """Run a worker of its own for the variant, with a connector that stands still."""
    [port] = free_ports(1)
    name = f"connect-{uuid4().hex[:8]}"
    file = stack.directory / f"{name}.properties"
    file.write_text(worker_properties(stack.kafka, port, stack.directory / f"{name}.offsets"))
    command = Command(
        name="connect",
        argv=command_line(find_java(), debezium_jars(), variant, file),
        log=stack.directory / f"{name}.log",
        rank=SERVICE_RANK,
    )
    address = f"{LOOPBACK}:{port}"
    worker = LeashedProcess(
        stack.leash,
        command,
        lambda it: wait_until(it, lambda: somebody_listens(address), seconds=_READY_SECONDS),
    )
    try:
        await asyncio.to_thread(worker.wait_ready)
        timeout = aiohttp.ClientTimeout(_ANSWER_SECONDS)
        async with aiohttp.ClientSession(f"http://{address}", timeout=timeout, headers=_JSON) as rest:
            running = Connect(worker, rest)
            await running.answers()
            await running.add(connector(dsn, topic, name, variant))
            yield running
    finally:
        await asyncio.to_thread(worker.stop)
