"""webhook_dispatcher put together."""

from datetime import timedelta

from shared.contracts import ACCOUNTS_EVENTS, CONFIGURATIONS_EVENTS, SUBSCRIPTIONS_EVENTS
from shared.kit.auth import RemoteKeys, trusted_issuers
from shared.kit.barrier import ReadBarrier
from shared.kit.sealing import SealedColumn
from shared.kit.secrets import SecretBox
from shared.kit.service import Service, plumbing

from .api import (
    action_routes,
    delivery_routes,
    ops_delivery_routes,
    repair_routes,
    subscription_routes,
    watched_routes,
)
from .consumers import copies_subscriber, events_subscriber, rebalancings_subscriber
from .domain import CircuitRule, RecoveryPace
from .settings import Settings
from .storage import BY_INDEX, KEEPER
from .use_cases import SubscriptionRules, endpoints_of
from .workers import DeliveryBacklog, DeliveryWorker, Disabling, Limits, Recoveries, Retention, Rules


def build(settings: Settings) -> Service:
    """The service, with nothing opened yet."""
    database, kafka = plumbing(settings, "webhook_dispatcher", planner=BY_INDEX)
    box = SecretBox(settings.sealing_keys)
    endpoints = endpoints_of(database, box, settings.address_rule, timeout=settings.attempt_timeout)
    tracer = settings.tracer_of("webhook_dispatcher")
    worker = DeliveryWorker(database, endpoints, _limits(settings), _rules(settings), tracer=tracer)
    barrier = ReadBarrier(kafka, database, KEEPER, [CONFIGURATIONS_EVENTS, ACCOUNTS_EVENTS], settings.partitions)
    verifier, keys = trusted_issuers(settings, RemoteKeys(f"{settings.issuer_url}/auth/verify_keys"))
    backlog = DeliveryBacklog(database)
    pace = RecoveryPace(untried=settings.recovered_at_once)
    service = Service(
        name="webhook_dispatcher",
        sealed=[
            SealedColumn("subscriptions", "id", "uuid", "sealed_secret"),
            SealedColumn("subscriptions", "id", "uuid", "sealed_access"),
        ],
        settings=settings,
        database=database,
        kafka=kafka,
        routers=[
            subscription_routes(database, SubscriptionRules(settings.address_rule, box, settings.schedule_bounds)),
            action_routes(database, box),
            delivery_routes(database),
            repair_routes(database, worker.stops.note),
            ops_delivery_routes(database),
            watched_routes(database, worker.stops.note),
        ],
        verifier=verifier,
        token_keys=keys,
        subscribers=[
            copies_subscriber(worker.stops.note),
            rebalancings_subscriber(barrier, worker.wake, worker.stops.note),
            events_subscriber(worker.wake),
        ],
        workers={
            "delivery": worker.run,
            "disabling": Disabling(database, timedelta(days=settings.disable_after_days)).run,
            "recoveries": Recoveries(database, pace, worker.stops.note).run,
            "retention": Retention(database, box).run,
        },
        publishes=[SUBSCRIPTIONS_EVENTS],
        opens=[endpoints.open],
        tracer=tracer,
        measured=[barrier, worker.sendings, worker.stops, backlog],
        closes=[barrier.close, endpoints.close],
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
