"""config_service put together."""

from shared.contracts import ACCOUNTS_EVENTS, ALLOCATIONS_EVENTS, COMMANDS_REPLIES, CONFIGURATIONS_EVENTS
from shared.kit.auth import TokenVerifier
from shared.kit.secrets import SecretBox
from shared.kit.service import Service, plumbing

from .api import OwnKeys, account_routes, allocation_routes, auth_routes, configuration_routes
from .consumers import commands_subscriber
from .settings import Settings


def build(settings: Settings) -> Service:
    """The service, with nothing opened yet."""
    database, kafka = plumbing(settings, "config_service")
    keys = OwnKeys(database, SecretBox(settings.sealing_keys))
    return Service(
        name="config_service",
        settings=settings,
        database=database,
        kafka=kafka,
        routers=[
            auth_routes(database, keys.issuer, settings.token_seconds),
            account_routes(database),
            allocation_routes(database),
            configuration_routes(database),
        ],
        verifier=TokenVerifier(keys),
        subscribers=[commands_subscriber()],
        publishes=[ACCOUNTS_EVENTS, ALLOCATIONS_EVENTS, CONFIGURATIONS_EVENTS, COMMANDS_REPLIES],
        opens=[keys.open],
        closes=[keys.close],
    )
