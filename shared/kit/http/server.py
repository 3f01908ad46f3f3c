"""The server that a process answers HTTP with."""

import contextlib
from typing import Any, Final, Protocol

import uvicorn
from fastapi import FastAPI

from .connection import BoundedConnection

_CONNECTIONS: Final = 1000
_KEEP_ALIVE_SECONDS: Final = 30


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

    @contextlib.contextmanager
    def capture_signals(self) -> Any:  # noqa: ANN401 -- uvicorn's own signature
        """Capture none."""
        yield
