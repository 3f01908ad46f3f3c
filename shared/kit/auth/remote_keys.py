"""The issuer's published keys, as everybody else has them."""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping

import aiohttp

from shared.kit.liveness import Beat
from shared.kit.logs import get_logger

from .keys import ALGORITHM, VerifyingKey, usable_keys

log = get_logger(__name__)

_FETCH_SECONDS = 5.0
_FETCH_LIMIT = 256 * 1024
_REFRESH_SECONDS = 300.0
_ASK_AGAIN_SECONDS = 10.0
_TURN_SECONDS = 5.0
_FIRST_PAUSE = 0.2


class RemoteKeys:
    """The issuer's published keys, fetched over HTTP and kept while it is away."""

    def __init__(
        self,
        url: str,
        session: Callable[[], aiohttp.ClientSession] = aiohttp.ClientSession,
        *,
        algorithms: Collection[str] = (ALGORITHM,),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fetch the key set from `url`, each time with a session of its own; keys for `algorithms` are used."""
        self._algorithms = tuple(algorithms)
        self._url = url
        self._session = session
        self._clock = clock
        self._keys: Mapping[str, VerifyingKey] = {}
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether a key set has been fetched, however long ago."""
        return bool(self._keys)

    def known(self, kid: str) -> VerifyingKey | None:
        """Give the key of that name if it is in the set fetched last."""
        return self._keys.get(kid)

    async def find(self, kid: str) -> VerifyingKey | None:
        """Give the key of that name; asks the issuer for one that is not known, at most once in ten seconds.

        More often would let anyone with invented names make us flood the issuer.
        """
        if kid not in self._keys:
            async with self._asking:
                # Whoever waited here meanwhile has the answer of whoever asked.
                if kid not in self._keys and self._may_ask():
                    await self._fetch()
        return self._keys.get(kid)

    async def refresh(self) -> bool:
        """Fetch the key set; says whether that worked. What was known is kept if not."""
        async with self._asking:
            return await self._fetch()

    async def run(self, beat: Beat) -> None:
        """Keep the key set fresh for ever: every five minutes, sooner while the issuer does not answer.

        Beats at least every ten seconds.
        """
        pause = _FIRST_PAUSE
        due = self._clock()
        while True:
            beat()
            if self._clock() >= due:
                fetched = await self.refresh()
                due = self._clock() + (_REFRESH_SECONDS if fetched else pause)
                pause = _FIRST_PAUSE if fetched else min(2 * pause, _TURN_SECONDS)
            await asyncio.sleep(max(0.0, min(_TURN_SECONDS, due - self._clock())))

    def _may_ask(self) -> bool:
        return self._asked_at is None or self._clock() - self._asked_at >= _ASK_AGAIN_SECONDS

    async def _fetch(self) -> bool:
        self._asked_at = self._clock()
        try:
            keys = usable_keys(json.loads(await self._body()), self._algorithms)
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as fault:
            log.warning("keys_not_fetched", url=self._url, fault=repr(fault), kept=len(self._keys))
            return False
        if not keys:
            log.warning("keys_not_usable", url=self._url, kept=len(self._keys))
            return False
        self._keys = keys
        return True

    async def _body(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        async with (
            self._session() as session,
            session.get(self._url, timeout=timeout, allow_redirects=False, raise_for_status=True) as response,
        ):
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _FETCH_LIMIT:
                    message = f"more than {_FETCH_LIMIT} bytes"
                    raise ValueError(message)
            return bytes(body)
