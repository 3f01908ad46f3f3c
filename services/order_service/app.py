"""The composition root of the order service: the only place that builds its parts."""

from shared.contracts import COMMANDS_REPLIES, ORDERS_EVENTS, REBALANCINGS_EVENTS
from shared.kit.auth import RemoteKeys, TokenVerifier
from shared.kit.barrier import ReadBarrier
from shared.kit.service import Service, plumbing

from .api import orders_router, rebalancings_router
from .consumers import COPIED_TOPICS, COPIES_GROUP, commands_subscriber, copies_subscriber
from .settings import Settings
from .use_cases import Copies


def build(settings: Settings) -> Service:
    """Build the service; nothing is connected before it runs."""
    database, kafka = plumbing(settings, "order_service")
    barrier = ReadBarrier(kafka, database, COPIES_GROUP, COPIED_TOPICS, settings.partitions)
    copies = Copies(database, barrier, settings.barrier_wait, settings.version_wait)
    keys = RemoteKeys(f"{settings.issuer_url}/auth/verify_keys")
    return Service(
        name="order_service",
        settings=settings,
        database=database,
        kafka=kafka,
        routers=(orders_router(database, copies), rebalancings_router(database, copies)),
        verifier=TokenVerifier(keys),
        token_keys=keys,
        subscribers=(copies_subscriber(), commands_subscriber(copies)),
        publishes=(ORDERS_EVENTS, REBALANCINGS_EVENTS, COMMANDS_REPLIES),
        closes=(barrier.close,),
    )
