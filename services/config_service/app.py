"""config_service put together."""

from shared.contracts import (
    ACCOUNTS_EVENTS,
    ALLOCATIONS_EVENTS,
    CLIENTS_EVENTS,
    COMMANDS_REPLIES,
    CONFIGURATIONS_EVENTS,
    PORTFOLIOS_EVENTS,
)
from shared.kit.allowances import Allowances, Limit
from shared.kit.auth import trusted_issuers
from shared.kit.sealing import SealedColumn
from shared.kit.secrets import SecretBox
from shared.kit.service import Service, plumbing
from shared.kit.unit_of_work import Database

from .api import (
    OwnKeys,
    account_routes,
    allocation_routes,
    auth_routes,
    client_routes,
    configuration_routes,
    ledger_routes,
    portfolio_routes,
)
from .consumers import commands_subscriber
from .settings import Settings


def build(settings: Settings) -> Service:
    """The service, with nothing opened yet."""
    database, kafka = plumbing(settings, "config_service")
    keys = OwnKeys(database, SecretBox(settings.sealing_keys))
    verifier, remote_keys = trusted_issuers(settings, keys)
    return Service(
        name="config_service",
        sealed=[SealedColumn("signing_keys", "kid", "text", "sealed")],
        settings=settings,
        database=database,
        kafka=kafka,
        routers=[
            auth_routes(database, keys.issuer, settings.token_seconds, _guesses(settings, database)),
            client_routes(database),
            account_routes(database),
            allocation_routes(database),
            configuration_routes(database),
            ledger_routes(database, settings.ledger_client_id),
            portfolio_routes(database, settings.ledger_client_id),
        ],
        verifier=verifier,
        token_keys=remote_keys,
        subscribers=[commands_subscriber()],
        publishes=[
            ACCOUNTS_EVENTS,
            ALLOCATIONS_EVENTS,
            CONFIGURATIONS_EVENTS,
            PORTFOLIOS_EVENTS,
            CLIENTS_EVENTS,
            COMMANDS_REPLIES,
        ],
        opens=[keys.open],
        closes=[keys.close],
    )


def _guesses(settings: Settings, database: Database) -> Allowances:
    return Allowances(database, "guesses", Limit(settings.token_guesses / 60, settings.token_guesses))
