"""The composition root of the order service: the only place that builds its parts."""

from shared.contracts import COMMANDS_REPLIES, ORDERS_EVENTS, REBALANCINGS_EVENTS
from shared.kit.auth import RemoteKeys, trusted_issuers
from shared.kit.barrier import ReadBarrier
from shared.kit.service import Service, plumbing

from .api import orders_router, rebalancings_router
from .consumers import COPIED_TOPICS, COPIES_GROUP, KEYED_OTHERWISE, commands_subscriber, copies_subscriber
from .settings import Settings
from .use_cases import Copies
from .workers import RebalancingWorker


def build(settings: Settings) -> Service:
    """Build the service; nothing is connected before it runs."""
    database, kafka = plumbing(settings, "order_service")
    barrier = ReadBarrier(kafka, database, COPIES_GROUP, COPIED_TOPICS, settings.partitions, whole=KEYED_OTHERWISE)
    copies = Copies(database, barrier, settings.barrier_wait, settings.version_wait)
    worker = RebalancingWorker(database)
    verifier, keys = trusted_issuers(settings, RemoteKeys(f"{settings.issuer_url}/auth/verify_keys"))
    return Service(
        name="order_service",
        settings=settings,
        database=database,
        kafka=kafka,
        routers=(orders_router(database, copies), rebalancings_router(database, copies, worker.wake)),
        verifier=verifier,
        token_keys=keys,
        subscribers=(copies_subscriber(), commands_subscriber(copies, worker.wake)),
        workers={"rebalancing": worker.run},
        publishes=(ORDERS_EVENTS, REBALANCINGS_EVENTS, COMMANDS_REPLIES),
        measured=(barrier,),
        closes=(barrier.close,),
    )
