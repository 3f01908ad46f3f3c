"""config_service put together."""

from joserfc.jwk import ECKey

from shared.contracts import ACCOUNTS_EVENTS, ALLOCATIONS_EVENTS, COMMANDS_REPLIES, CONFIGURATIONS_EVENTS
from shared.kit.auth import LocalKeys, TokenIssuer, TokenVerifier
from shared.kit.secrets import SecretBox
from shared.kit.service import Service, plumbing
from shared.kit.unit_of_work import Database

from . import use_cases
from .api import account_routes, allocation_routes, auth_routes, configuration_routes
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
    )


class OwnKeys:
    """The keys that this service signs tokens with and verifies them by; opened before any role starts."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box
        self._issuer: TokenIssuer | None = None
        self._public = LocalKeys({})

    async def open(self) -> None:
        """Read the keys from the database, or make the first one."""
        async with self._database.unit_of_work() as work:
            keys = await use_cases.signing_keys(work, self._box)
        self._issuer = TokenIssuer(keys)
        self._public = LocalKeys(self._issuer.jwks())

    def issuer(self) -> TokenIssuer:
        """What signs; raises LookupError before `open`."""
        if self._issuer is None:
            raise LookupError("the signing keys are not opened yet")
        return self._issuer

    @property
    def ready(self) -> bool:
        """Whether the keys are opened."""
        return self._public.ready

    def known(self, kid: str) -> ECKey | None:
        """Give the public key of that name."""
        return self._public.known(kid)

    async def find(self, kid: str) -> ECKey | None:
        """Give the public key of that name."""
        return self._public.known(kid)
