"""A service that is changed a little and run in its own place, to be measured from within."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from shared.kit.command_line import in_loop
from shared.kit.service import Role, Service, run


def run_changed(name: str, change: Callable[[Service], None], *options: str) -> None:
    """Run all roles of the service `name`, built as always and then changed; `--migrate` first does what that does."""

    def build(settings: Any) -> Service:  # noqa: ANN401 -- the settings of a service, which is found by its name
        service: Service = import_module(f"services.{name}.app").build(settings)
        change(service)
        return service

    settings = import_module(f"services.{name}.settings").Settings
    in_loop(lambda service: run(service, frozenset(Role)), build, settings, name, migrate="--migrate" in options)
