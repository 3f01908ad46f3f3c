"""What a role may need before it is given work: the database with its tables, keys to verify tokens with, a broker."""

from . import schema
from .auth import Verifier
from .kafka import Kafka
from .liveness import Check
from .unit_of_work import Database


def database_check(database: Database, package: str) -> Check:
    """Whether the database answers and has the newest schema of the service in `package`."""
    wanted = schema.heads(package)

    async def check() -> str | None:
        async with database.reading() as connection:
            return await schema.behind(connection, wanted, package)

    return check


def keys_check(verifier: Verifier) -> Check:
    """Whether any token can be verified."""

    async def check() -> str | None:
        return None if verifier.ready else "none yet: is the issuer reachable?"

    return check


def broker_check(kafka: Kafka) -> Check:
    """Whether any broker accepts a connection."""

    async def check() -> str | None:
        return None if await kafka.answers() else "no broker accepts a connection"

    return check
