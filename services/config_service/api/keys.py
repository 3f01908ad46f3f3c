"""The keys that this process signs tokens with and verifies them by."""

import asyncio
import contextlib

from services.config_service import use_cases
from shared.kit.auth import LocalKeys, TokenIssuer, VerifyingKey
from shared.kit.faults import INFRASTRUCTURE
from shared.kit.logs import get_logger
from shared.kit.refusals import Unavailable
from shared.kit.secrets import SecretBox
from shared.kit.unit_of_work import Database

_AGAIN_AFTER = 1.0

log = get_logger(__name__)


class OwnKeys:
    """The keys in the database, which all replicas share; until they are opened, no token is given or taken."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box
        self._issuer: TokenIssuer | None = None
        self._public = LocalKeys({})
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the keys; goes on trying beside whatever else starts while the database or its tables are not there.

        Raises UnsealableError where the keys were sealed under others than ours: waiting would not help.
        """
        if not await self._opened():
            self._opening = asyncio.create_task(self._open_in_the_end(), name="signing keys")

    async def close(self) -> None:
        """Stop trying."""
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._opening

    def issuer(self) -> TokenIssuer:
        """What signs; raises Unavailable before the keys are opened."""
        if self._issuer is None:
            raise Unavailable("Tokens cannot be signed yet.", retry_after=_AGAIN_AFTER)
        return self._issuer

    @property
    def ready(self) -> bool:
        """Whether the keys are opened."""
        return self._public.ready

    def known(self, kid: str) -> VerifyingKey | None:
        """Give the public key of that name."""
        return self._public.known(kid)

    async def find(self, kid: str) -> VerifyingKey | None:
        """Give the public key of that name."""
        return self._public.known(kid)

    async def _open_in_the_end(self) -> None:
        opened = False
        while not opened:
            await asyncio.sleep(_AGAIN_AFTER)
            opened = await self._opened()

    async def _opened(self) -> bool:
        try:
            async with self._database.unit_of_work() as work:
                keys = await use_cases.signing_keys(work, self._box)
        except INFRASTRUCTURE as fault:
            log.warning("signing_keys_not_opened", fault=repr(fault))
            return False
        self._issuer = TokenIssuer(keys)
        self._public = LocalKeys(self._issuer.jwks())
        return True
