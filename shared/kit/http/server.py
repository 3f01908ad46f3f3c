"""The server that a process answers HTTP with."""

import contextlib
from typing import Any, Final, Protocol

import uvicorn
from fastapi import FastAPI

from shared.kit.timed_event import TimedEvent

from .connection import BoundedConnection

_CONNECTIONS: Final = 1000
_KEEP_ALIVE_SECONDS: Final = 30
#: as long as the Date header that uvicorn keeps for all answers may be the same
_TICK_SECONDS: Final = 1.0


class Listening(Protocol):
    """Where a process listens, and how long it may take to end."""

    @property
    def http_host(self) -> str:
        """The address."""

    @property
    def http_port(self) -> int:
        """The port; 0 takes any free one."""

    @property
    def shutdown_grace(self) -> float:
        """Seconds in which what is in flight may finish."""


class Server(uvicorn.Server):
    """Serves `app` as the settings say; leaves the signals to its process, which stops its roles in their order."""

    def __init__(self, app: FastAPI, settings: Listening) -> None:
        self._told_to_end = TimedEvent()
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedConnection,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(settings.shutdown_grace),
                limit_concurrency=_CONNECTIONS,
            )
        )

    @property
    def should_exit(self) -> bool:
        """Whether it was told to end."""
        return self._told_to_end.is_set()

    @should_exit.setter
    def should_exit(self, told: bool) -> None:
        if told:
            self._told_to_end.set()
        else:
            self._told_to_end.clear()

    async def main_loop(self) -> None:
        """Tick once a second until told to end, which it hears of at once; uvicorn's own looks ten times a second."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 10  # uvicorn counts tenths, and renews the header with each tenth of them
            await self._told_to_end.wait(_TICK_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:  # noqa: ANN401 -- uvicorn's own signature
        """Capture none."""
        yield
