"""A client that calls config_service, and builders of what it sends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from services.config_service.domain import Credentials

ALL_SCOPES = "accounts:admin portfolios:admin"
HALVES = [
    {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "0.7"},
    {"instrument_id": "24c230eb-5d4f-4462-9af8-6612e7bd3af0", "instrument_id_type": "UUID", "weight": "0.30"},
]


@dataclass(frozen=True)
class Answer:
    """What the service answered."""

    status: int
    body: Any
    #: by their names in any case
    headers: Mapping[str, str]

    @property
    def at_fault(self) -> list[str]:
        """The fields that a problem document names."""
        return [error["location"] for error in self.body["errors"]]


@dataclass
class Caller:
    """One client, signed in."""

    session: aiohttp.ClientSession
    credentials: Credentials
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def client_id(self) -> UUID:
        return UUID(self.credentials.client_id)

    async def token(self, **form: str) -> Answer:
        """Ask for a token with this client's credentials, changed by `form`."""
        sent = {"grant_type": "client_credentials", **vars(self.credentials), **form}
        return await self._answer("POST", "/auth/token", data=sent)

    async def sign_in(self) -> None:
        answer = await self.token()
        assert answer.status == 200, answer.body
        self.headers = {"Authorization": f"Bearer {answer.body['access_token']}"}

    async def get(self, path: str) -> Answer:
        return await self._answer("GET", path, headers=self.headers)

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        """Ask for something to be made, under a new Idempotency-Key unless `headers` has one."""
        sent = {**self.headers, "Idempotency-Key": str(uuid4()), **headers}
        return await self._answer("POST", path, json=body, headers=sent)

    async def post_nothing(self, path: str) -> Answer:
        """POST without a body."""
        return await self._answer("POST", path, headers=self.headers)

    async def patch(self, path: str, body: Any, *, if_match: str | None = None) -> Answer:
        return await self._answer("PATCH", path, json=body, headers=self._with(if_match))

    async def put(self, path: str, body: Any, *, if_match: str | None = None) -> Answer:
        return await self._answer("PUT", path, json=body, headers=self._with(if_match))

    async def delete(self, path: str, *, if_match: str | None = None) -> Answer:
        return await self._answer("DELETE", path, headers=self._with(if_match))

    def _with(self, if_match: str | None) -> dict[str, str]:
        return self.headers if if_match is None else {**self.headers, "If-Match": if_match}

    async def an_account(self, **changes: Any) -> str:
        """Open an account; answers its id."""
        body = {"user_id": str(uuid4()), "type": "PORTFOLIO", **changes}
        return str((await self._made("/accounts", body))["account_id"])

    async def an_allocation(self) -> str:
        """Make an allocation; answers its id."""
        return str((await self._made("/portfolios/allocations", {"allocation": HALVES}))["allocation_id"])

    async def a_configuration(self, account_id: str | None = None, allocation_id: str | None = None) -> dict[str, Any]:
        """Configure an account; answers the configuration."""
        link = {
            "account_id": account_id or await self.an_account(),
            "allocation_id": allocation_id or await self.an_allocation(),
        }
        return await self._made("/portfolios/configurations", link)

    async def _made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.post(path, body)
        assert answer.status == 201, answer.body
        made: dict[str, Any] = answer.body
        return made

    async def _answer(self, method: str, path: str, **sent: Any) -> Answer:
        async with self.session.request(method, path, **sent) as response:
            body = await response.json(content_type=None) if await response.read() else None
            return Answer(response.status, body, response.headers)
