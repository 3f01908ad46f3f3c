"""Connections to endpoints whose certificates other authorities have signed: a pool for each distinct CA bundle."""

import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.webhook_dispatcher.domain import trust_in

from .sender import Sender

#: pools that are kept open for the next delivery; those in use come on top, as many as there are deliveries under way
_KEPT = 50


@dataclass
class _Pool:
    sender: Sender
    users: int = 0


class TrustingSenders:
    """A sender for each CA bundle, opened when it is first needed; the one unused for longest is closed first."""

    def __init__(self, make: Callable[[ssl.SSLContext], Sender], kept: int = _KEPT) -> None:
        self._make = make
        self._kept = kept
        self._pools: OrderedDict[str, _Pool] = OrderedDict()

    @asynccontextmanager
    async def of(self, bundle: str) -> AsyncIterator[Sender]:
        """The sender that trusts the certificates in `bundle` (PEM) and no others."""
        pool = await self._opened(bundle)
        pool.users += 1
        try:
            yield pool.sender
        finally:
            pool.users -= 1
            await self._close_idle(self._kept)

    async def close(self) -> None:
        """Close all of them."""
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.sender.close()

    async def _opened(self, bundle: str) -> _Pool:
        pool = self._pools.get(bundle)
        if pool is None:
            # Listed before it is opened: whoever comes meanwhile must not make another one.
            pool = self._pools[bundle] = _Pool(self._make(trust_in(bundle)))
            await pool.sender.open()
        self._pools.move_to_end(bundle)
        return pool

    async def _close_idle(self, kept: int) -> None:
        for bundle in [bundle for bundle, pool in self._pools.items() if not pool.users]:
            if len(self._pools) <= kept:
                return
            await self._pools.pop(bundle).sender.close()
