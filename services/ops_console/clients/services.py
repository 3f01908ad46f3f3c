"""The services over HTTP, as one client with a token of its own."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from shared.kit.settings import PREFIX

_ANSWER_SECONDS = 60.0
_CONNECT_SECONDS = 5.0
#: the part of its time after which a token is replaced
_RENEWED_AFTER = 0.8
#: rows in one page of a list
_PAGE = 100

Json = dict[str, Any]


class Trouble(Exception):  # noqa: N818 - it is told to a person as it is
    """Something that a person can be told in one sentence."""


def not_set(setting: str) -> Trouble:
    """Somebody has to say this first."""
    return Trouble(f"{PREFIX}{setting.upper()} is not set, and there is no file of `make up`.")


class Services:
    """Asks the services; the token is fetched with the first question, and anew before it ends."""

    def __init__(
        self, session: aiohttp.ClientSession, urls: Mapping[str, str], client_id: str, client_secret: str
    ) -> None:
        self._session = session
        self._urls = urls
        self._client_id = client_id
        self._client_secret = client_secret
        self._token: str | None = None
        self._renew_at = 0.0

    @property
    def names(self) -> list[str]:
        """The services that can be asked."""
        return list(self._urls)

    async def ask(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """The answer's JSON; raises Trouble with the problem's own sentence, or where the service is not reached."""
        token = await self._signed_in()
        sent = {name: str(value) for name, value in (query or {}).items() if value is not None}
        return await self._request(
            service,
            method,
            path,
            params=sent,
            json=body,
            headers={"Authorization": f"Bearer {token}", **(headers or {})},
        )

    async def all_of(self, service: str, path: str, query: Mapping[str, object], at_most: int) -> list[Json]:
        """The rows of a list, page by page, `at_most` in all."""
        rows: list[Json] = []
        cursor: str | None = None
        while len(rows) < at_most:
            asked = {**query, "limit": min(_PAGE, at_most - len(rows)), "cursor": cursor}
            answer = await self.ask(service, "GET", path, query=asked)
            rows += answer["data"]
            cursor = answer["meta"].get("next_cursor")
            if cursor is None:
                break
        return rows

    async def _signed_in(self) -> str:
        if self._token is None or time.monotonic() > self._renew_at:
            form = {
                "grant_type": "client_credentials",
                "client_id": self._client_id,
                "client_secret": self._client_secret,
            }
            answer = await self._request("config_service", "POST", "/auth/token", data=form)
            self._token = str(answer["access_token"])
            self._renew_at = time.monotonic() + _RENEWED_AFTER * float(answer.get("expires_in", 0))
        return self._token

    async def _request(self, service: str, method: str, path: str, **sent: Any) -> Json:  # noqa: ANN401 - aiohttp's
        if service not in self._urls:
            raise not_set(f"{service}_url")
        try:
            async with self._session.request(method, f"{self._urls[service]}{path}", **sent) as response:
                answer = await response.json(content_type=None) if await response.read() else {}
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            message = f"{service} does not answer at {self._urls[service]} ({type(fault).__name__})."
            raise Trouble(message) from fault
        if response.status >= HTTPStatus.BAD_REQUEST:
            if response.status == HTTPStatus.UNAUTHORIZED:
                # Signed by a key that is gone: the next question brings a new one.
                self._token = None
            raise Trouble(_sentence(service, response.status, answer))
        return dict(answer)


def session() -> aiohttp.ClientSession:
    """A session with our patience."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS, connect=_CONNECT_SECONDS))


def _sentence(service: str, status: int, answer: object) -> str:
    told = answer if isinstance(answer, dict) else {}
    # A token's refusal is as RFC 6749 has it, everything else a problem document.
    detail = told.get("detail") or told.get("error_description") or told.get("title") or "no reason is given."
    return f"{service} answers {status}: {detail}"
