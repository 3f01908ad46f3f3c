"""What the story needs of the system that it is played on, whoever runs it: a leash of processes, or Compose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from deploy.local.services import BootstrapClient


class Service(Protocol):
    """A service with all of its roles in one process."""

    @property
    def began(self) -> datetime:
        """When the process was started that runs now."""

    def pause(self) -> None:
        """Stop it where it stands: it does nothing more, and is not told."""

    def kill(self) -> None:
        """SIGKILL it and return once it is gone, also where it is paused."""

    def restart(self) -> None:
        """Start it again under the same address and return once it serves."""


class System(Protocol):
    """Kafka, PostgreSQL and all services."""

    @property
    def kafka(self) -> str:
        """Bootstrap servers, as this machine reaches them."""

    @property
    def here(self) -> str:
        """The address under which the services reach this machine."""

    @property
    def databases(self) -> Mapping[str, str]:
        """A DSN of every service's database, by the service's folder name."""

    @property
    def urls(self) -> Mapping[str, str]:
        """Every service's base URL, by the service's folder name."""

    @property
    def services(self) -> Mapping[str, Service]:
        """Every service, by its folder name."""

    @property
    def clients(self) -> Sequence[BootstrapClient]:
        """Clients with all scopes, one at least."""
