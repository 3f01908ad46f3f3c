"""webhook_dispatcher put together."""

from functools import partial

from shared.contracts import ACCOUNTS_EVENTS, CONFIGURATIONS_EVENTS, SUBSCRIPTIONS_EVENTS
from shared.kit.auth import RemoteKeys, trusted_issuers
from shared.kit.barrier import ReadBarrier
from shared.kit.secrets import SecretBox
from shared.kit.service import Service, plumbing

from .api import delivery_routes, ops_delivery_routes, subscription_routes
from .clients import Sender, guarded_connector
from .consumers import copies_subscriber, events_subscriber, rebalancings_subscriber
from .domain import CircuitRule
from .settings import Settings
from .storage import BY_INDEX, KEEPER
from .use_cases import Endpoints
from .workers import DeliveryBacklog, DeliveryWorker, Limits, Retention, Rules


def build(settings: Settings) -> Service:
    """The service, with nothing opened yet."""
    database, kafka = plumbing(settings, "webhook_dispatcher", planner=BY_INDEX)
    box = SecretBox(settings.sealing_keys)
    sender = Sender(partial(guarded_connector, settings.address_rule), timeout=settings.attempt_timeout)
    worker = DeliveryWorker(database, Endpoints(sender, box), _limits(settings), _rules(settings))
    barrier = ReadBarrier(kafka, database, KEEPER, [CONFIGURATIONS_EVENTS, ACCOUNTS_EVENTS], settings.partitions)
    verifier, keys = trusted_issuers(settings, RemoteKeys(f"{settings.issuer_url}/auth/verify_keys"))
    backlog = DeliveryBacklog(database)
    service = Service(
        name="webhook_dispatcher",
        settings=settings,
        database=database,
        kafka=kafka,
        routers=[
            subscription_routes(database, settings.address_rule, box),
            delivery_routes(database),
            ops_delivery_routes(database),
        ],
        verifier=verifier,
        token_keys=keys,
        subscribers=[
            copies_subscriber(),
            rebalancings_subscriber(barrier, worker.wake),
            events_subscriber(worker.wake),
        ],
        workers={"delivery": worker.run, "retention": Retention(database).run},
        publishes=[SUBSCRIPTIONS_EVENTS],
        opens=[sender.open],
        measured=[barrier, worker.sendings, backlog],
        closes=[barrier.close, sender.close],
    )
    service.metrics.ask_first(backlog.refresh)
    return service


def _limits(settings: Settings) -> Limits:
    return Limits(
        in_flight=settings.deliveries_in_flight,
        in_flight_slow=settings.deliveries_to_slow_endpoints,
        per_endpoint=settings.deliveries_per_endpoint,
        lease_seconds=settings.lease_seconds,
        grace=settings.shutdown_grace / 2,
    )


def _rules(settings: Settings) -> Rules:
    circuit = CircuitRule(settings.circuit_failures, settings.circuit_open_seconds, settings.circuit_longest_seconds)
    return Rules(settings.retry_schedule, circuit)
