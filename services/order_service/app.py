"""The composition root of the order service: the only place that builds its parts."""

import asyncio

from shared.contracts import COMMANDS_REPLIES, ORDERS_EVENTS, REBALANCINGS_EVENTS
from shared.kit.auth import RemoteKeys, TokenVerifier
from shared.kit.barrier import ReadBarrier
from shared.kit.liveness import Liveness
from shared.kit.service import Service, plumbing

from .api import orders_router, rebalancings_router
from .consumers import COPIED_TOPICS, COPIES_GROUP, commands_subscriber, copies_subscriber
from .settings import Settings
from .use_cases import Copies

_KEYS_HANG_AFTER = 60.0


def build(settings: Settings) -> Service:
    """Build the service; nothing is connected before it runs."""
    database, kafka = plumbing(settings, "order_service")
    barrier = ReadBarrier(kafka, database, COPIES_GROUP, COPIED_TOPICS, settings.partitions)
    copies = Copies(database, barrier, settings.barrier_wait, settings.version_wait)
    keys = RemoteKeys(f"{settings.issuer_url}/auth/verify_keys")
    liveness = Liveness()
    refreshing = _KeyRefresh(keys, liveness)
    return Service(
        name="order_service",
        settings=settings,
        database=database,
        kafka=kafka,
        routers=(orders_router(database, copies), rebalancings_router(database, copies)),
        verifier=TokenVerifier(keys),
        subscribers=(copies_subscriber(), commands_subscriber(copies)),
        publishes=(ORDERS_EVENTS, REBALANCINGS_EVENTS, COMMANDS_REPLIES),
        opens=(refreshing.start,),
        closes=(refreshing.stop, barrier.close),
        liveness=liveness,
    )


class _KeyRefresh:
    """Keeps the token keys fresh in whatever role the process runs; a worker would not run beside the API alone."""

    def __init__(self, keys: RemoteKeys, liveness: Liveness) -> None:
        self._keys = keys
        self._liveness = liveness
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        beat = self._liveness.loop("token keys", _KEYS_HANG_AFTER)
        self._task = asyncio.create_task(self._keys.run(beat), name="token keys")
        self._liveness.watch("token keys", self._task)

    async def stop(self) -> None:
        self._liveness.forget("token keys")
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
