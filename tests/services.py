"""The services as their composition roots build them, for tests that go over all that is registered."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from deploy.local.services import service_names
from shared.kit.service import Service
from tests.conftest import PARTITIONS

#: every variable that any service needs; nothing is connected to before a service runs
ENVIRONMENT = {
    "database_url": "postgresql://nobody:nothing@127.0.0.1:1/none",
    "kafka": "127.0.0.1:1",
    "issuer_url": "http://127.0.0.1:1",
    "secret_keys": "A" * 43 + "=",
    "partitions": PARTITIONS,
}


def built(name: str, **environment: Any) -> Service:
    """The service `name`, with these settings."""
    settings = import_module(f"services.{name}.settings").Settings(**{**ENVIRONMENT, **environment})
    build: Callable[[Any], Service] = import_module(f"services.{name}.app").build
    return build(settings)


def all_subscribers() -> list[tuple[str, str]]:
    """Service and consumer group of every subscriber that is registered."""
    return [(name, each.group) for name in service_names() for each in built(name).subscribers]


def all_parts() -> list[str]:
    """Every consumer group and worker that a process can leave switched off, as `service.part`."""
    workers = [
        f"{name}.{worker}" for name in service_names() for worker in ("relay", "housekeeping", *built(name).workers)
    ]
    return [group for _, group in all_subscribers()] + workers
