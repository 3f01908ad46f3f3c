"""What compose.yaml and the manifests give to a container, held against what its service reads and takes."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from shared.kit.command_line import service_commands
from shared.kit.kafka_security import KafkaSecuritySettings
from shared.kit.service import Role
from shared.kit.settings import PREFIX, SECRETS_DIR, settings_or_exit

#: It has neither a database nor roles.
CONSOLE = "ops_console"

#: What makes a client reads these beside the settings of config_service.
KNOWN_CLIENT = {f"{PREFIX.lower()}client_id", f"{PREFIX.lower()}client_secret"}


def settings_class(service: str) -> type[KafkaSecuritySettings]:
    found: type[KafkaSecuritySettings] = import_module(f"services.{service}.settings").Settings
    return found


def variables_of(service: str) -> set[str]:
    """Every variable that the service reads."""
    return {f"{PREFIX}{name.upper()}" for name in settings_class(service).model_fields} | {SECRETS_DIR}


def unread(service: str, names: set[str]) -> set[str]:
    """Of these variables and files, those that the service does not read."""
    return {name for name in names if name.upper() not in variables_of(service)}


def read_by(service: str, environment: Mapping[str, str], secrets: Path | None = None) -> Any:
    """The settings that the service makes of its environment, and of a folder of files; fails with its own sentence."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        if secrets is not None:
            patched.setenv(SECRETS_DIR, str(secrets))
        return settings_or_exit(settings_class(service))


def service_in(command: Sequence[str]) -> str:
    """The service that `services.<name> …` starts, once its subcommand and options are found to be there."""
    module, subcommand, *rest = command
    package, _, name = module.partition(".")
    assert package == "services", module
    app: Any = typer.main.get_command(_commands_of(name))
    assert subcommand in app.commands, command
    options = {option for parameter in app.commands[subcommand].params for option in parameter.opts}
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= options, command
    if "--roles" in rest:
        roles_in(command)
    return name


def _commands_of(name: str) -> typer.Typer:
    build: Any = import_module(f"services.{name}.app").build
    if name == CONSOLE:
        console: typer.Typer = build()
        return console
    more = getattr(import_module(f"services.{name}.__main__"), "commands", None)
    own: type[Any] = settings_class(name)
    found: typer.Typer = more() if more else service_commands(name, own, build)
    return found


def roles_in(command: Sequence[str]) -> frozenset[Role]:
    """The roles that a `run` is told to take; all of them where it is told nothing."""
    if "--roles" not in command:
        return frozenset(Role)
    return frozenset(Role(role) for role in command[list(command).index("--roles") + 1].split(","))
