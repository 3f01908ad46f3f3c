"""The database schema: the kit's migrations and the service's own, as two branches of one history."""

from importlib import resources
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine


class SchemaBehindError(Exception):
    """The database lacks migrations that this code needs."""


def _config(package: str | None) -> Config:
    """The configuration for the service in `package`, e.g. `services.order_service`; None is the kit alone."""
    config = Config()
    kit = _folder("shared.kit")
    folders = [kit / "versions", *([_folder(package)] if package else [])]
    config.set_main_option("script_location", str(kit))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(folder) for folder in folders))
    return config


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
    config = _config(package)
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")


def check(connection: Connection, package: str) -> None:
    """Raise SchemaBehindError unless the database has every migration."""
    there = set(MigrationContext.configure(connection).get_current_heads())
    missing = set(ScriptDirectory.from_config(_config(package)).get_heads()) - there
    if missing:
        msg = f"the database lacks {', '.join(sorted(missing))}: run `python -m {package} migrate`"
        raise SchemaBehindError(msg)
