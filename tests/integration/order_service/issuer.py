"""A stand-in for the issuer of tokens: real keys over real HTTP."""

from uuid import UUID

from aiohttp import web

from deploy.local.ports import LOOPBACK, free_ports
from shared.kit.auth import SigningKey, TokenIssuer


class Issuer:
    def __init__(self, key: SigningKey) -> None:
        self._tokens = TokenIssuer([key])
        self._port, self.another_port = free_ports(2)
        self.url = f"http://{LOOPBACK}:{self._port}"
        self._runner: web.AppRunner | None = None

    def token(self, client_id: UUID, scopes: str = "orders:admin") -> str:
        return self._tokens.issue(client_id, scopes.split())

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/auth/verify_keys", self._keys)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self._port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response(self._tokens.jwks())
