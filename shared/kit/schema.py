"""The database schema: the kit's migrations and the service's own, as two branches of one history.

Alembic is imported by what migrates alone: a process that only compares takes a tenth less time to start without it.
"""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

if TYPE_CHECKING:
    from alembic.config import Config

_KIT = "shared.kit"


def config_of(package: str | None) -> "Config":
    """The configuration for the service in `package`, e.g. `services.order_service`; None is the kit alone."""
    from alembic.config import Config  # noqa: PLC0415 -- see above

    config = Config()
    config.set_main_option("script_location", str(_folder(_KIT)))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(folder) for folder in _branches(package).values()))
    return config


def _branches(package: str | None) -> dict[str, Path]:
    """Branch -> the folder of its migrations, which are called after their numbers in it."""
    branches = {"kit": _folder(_KIT) / "versions"}
    return branches | ({package.rpartition(".")[2]: _folder(package)} if package else {})


def _folder(package: str) -> Path:
    return Path(str(resources.files(package))) / "migrations"


async def migrate(url: str, package: str | None = None) -> None:
    """Bring the database at `url` to the newest schema, in one transaction; replicas that try at once wait in turn."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('migrations'))"))
            await connection.run_sync(_upgrade, package)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, package: str | None) -> None:
    from alembic import command  # noqa: PLC0415 -- see above

    config = config_of(package)
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")


def heads(package: str) -> frozenset[str]:
    """The newest migration of each branch, as this code has them."""
    newest = {branch: max(folder.glob("[0-9]*.py")) for branch, folder in _branches(package).items()}
    return frozenset(f"{branch}_{file.name.partition('_')[0]}" for branch, file in newest.items())


async def behind(connection: AsyncConnection, wanted: frozenset[str], package: str) -> str | None:
    """Which migrations the database lacks and what to do about it; None when it lacks none.

    One that is newer than this code lacks nothing: processes of the version before go on while the next is rolled out.
    """
    there = text("SELECT to_regclass('alembic_version') IS NOT NULL")
    known: set[str] = set()
    if (await connection.execute(there)).scalar_one():
        known = set((await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars())
    reached = dict(map(_numbered, known))
    missing = sorted(each for each in wanted if reached.get(_numbered(each)[0], 0) < _numbered(each)[1])
    return f"the database lacks {', '.join(missing)}: run `python -m {package} migrate`" if missing else None


def _numbered(revision: str) -> tuple[str, int]:
    """The branch of a migration and its number in it: a database names the last of each branch alone."""
    branch, _, number = revision.rpartition("_")
    return branch, int(number)
