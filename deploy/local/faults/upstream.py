"""One client of the platform by HTTP: it tries again, at any replica, until it is told something final."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from deploy.local.faults.ledger import Ledger
from deploy.local.services import BootstrapClient

_PAUSE = 0.25
_NOT_FINAL = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
#: a proxy's or a stopped process's silence ends here, and the next replica is asked
_ANSWER_SECONDS = 6.0


@dataclass(frozen=True)
class Answer:
    """What was answered in the end."""

    status: int
    body: Any
    etag: str = ""


@dataclass(frozen=True)
class _Request:
    """What is asked, however often."""

    method: str
    path: str
    body: dict[str, Any] | None
    op: str
    if_match: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that are the same each time."""
        keyed = {"Idempotency-Key": self.op} if self.method == "POST" else {}
        return keyed | ({"If-Match": self.if_match} if self.if_match else {})


class Upstream:
    """A client, with every replica's address of each service."""

    def __init__(
        self, client: BootstrapClient, urls: dict[str, list[str]], session: aiohttp.ClientSession, ledger: Ledger
    ) -> None:
        self._client = client
        self._urls = urls
        self._session = session
        self._ledger = ledger
        self._token = ""
        self._chance = random.Random(client.client_id)  # noqa: S311 -- replicas, not secrets

    @property
    def client_id(self) -> str:
        """Who it is."""
        return self._client.client_id

    async def ask(
        self,
        service: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        if_match: str = "",
        **told: Any,  # noqa: ANN401 -- any JSON
    ) -> Answer:
        """Ask until the answer is final, under one key however often; `told` describes it to the ledger.

        `if_match` is the ETag of what is meant: what is asked again may be done late, when something else stands there.
        """
        op = str(uuid4())
        if body is not None:
            body = {name: op if value is OP else value for name, value in body.items()}
        self._ledger.write("asked", op=op, via="http", client=self.client_id, method=method, path=path, **told)
        answer = await self._final(service, _Request(method, path, body, op, if_match))
        self._ledger.write("told", op=op, status=answer.status, resource=answer.body)
        return answer

    async def _final(self, service: str, request: _Request) -> Answer:
        while True:
            try:
                status, content, headers = await self._once(service, request)
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(_PAUSE)
                continue
            again = "Retry-After" in headers
            if status == HTTPStatus.UNAUTHORIZED:
                await self._sign_in()
            elif status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NOT_FINAL and not again:
                return Answer(status, orjson.loads(content) if content else None, headers.get("ETag", ""))
            else:
                shown = content[:300].decode("utf-8", "replace")
                told = {"service": service, "path": request.path, "status": status, "body": shown}
                self._ledger.write("answered", op=request.op, **told)
            await asyncio.sleep(_PAUSE)

    async def _once(self, service: str, request: _Request) -> tuple[int, bytes, Mapping[str, str]]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **request.headers}
        url = self._chance.choice(self._urls[service]) + request.path
        content = None if request.body is None else orjson.dumps(request.body)
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with self._session.request(
            request.method, url, data=content, headers=headers, timeout=timeout
        ) as response:
            return response.status, await response.read(), response.headers

    async def _sign_in(self) -> None:
        form = {"grant_type": "client_credentials", **vars(self._client)}
        url = self._chance.choice(self._urls["config_service"]) + "/auth/token"
        try:
            async with self._session.post(url, data=form, timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)) as told:
                if told.status == HTTPStatus.OK:
                    self._token = (await told.json())["access_token"]
        except (aiohttp.ClientError, TimeoutError, OSError):
            return  # the request itself asks again


class _Op:
    """Stands in a body where the request's own key is to be written."""


OP = _Op()
