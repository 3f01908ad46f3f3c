"""A database as it was at a moment, and the way back to it under whoever is connected."""

from urllib.parse import urlsplit, urlunsplit

import asyncpg

from .conftest import eventually


class Backup:
    """One database of a server that has more of them; taken once, and set back once."""

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._name = parts.path.removeprefix("/")
        self._admin = urlunsplit(parts._replace(path="/postgres"))

    async def take(self) -> None:
        """Keep the database as it is now; whoever is connected is cut off for that moment."""
        await self._alone(f'CREATE DATABASE "{self._name}_backup" TEMPLATE "{self._name}"')

    async def set_back(self) -> None:
        """As for whoever is connected: the server goes away, and comes back as it was when the backup was taken."""
        await self._alone(
            f'ALTER DATABASE "{self._name}" RENAME TO "{self._name}_lost"',
            f'ALTER DATABASE "{self._name}_backup" RENAME TO "{self._name}"',
        )

    async def _alone(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._admin)
        try:
            await connection.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS false')

            async def nobody() -> bool:
                # In the loop: one that was about to connect counts only once it has.
                others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
                return not await connection.fetch(others, self._name)

            await eventually(nobody)
            for statement in statements:
                await connection.execute(statement)
            await connection.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS true')
        finally:
            await connection.close()
