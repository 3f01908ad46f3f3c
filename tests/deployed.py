"""What compose.yaml and the manifests give to a container, held against what its service reads and takes."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from shared.kit.command_line import service_commands
from shared.kit.service import Role
from shared.kit.settings import PREFIX, SECRETS_DIR, KitSettings, settings_or_exit


def settings_class(service: str) -> type[KitSettings]:
    found: type[KitSettings] = import_module(f"services.{service}.settings").Settings
    return found


def variables_of(service: str) -> set[str]:
    """Every variable that the service reads."""
    return {f"{PREFIX}{name.upper()}" for name in settings_class(service).model_fields} | {SECRETS_DIR}


def unread(service: str, names: set[str]) -> set[str]:
    """Of these variables and files, those that the service does not read."""
    return {name for name in names if name.upper() not in variables_of(service)}


def read_by(service: str, environment: Mapping[str, str], secrets: Path | None = None) -> KitSettings:
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
    commands = service_commands(name, settings_class(name), import_module(f"{module}.app").build)
    app: Any = typer.main.get_command(commands)
    assert subcommand in app.commands, command
    options = {option for parameter in app.commands[subcommand].params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options, command
    if "--roles" in rest:
        roles_in(command)
    return name


def roles_in(command: Sequence[str]) -> frozenset[Role]:
    """The roles that a `run` is told to take; all of them where it is told nothing."""
    if "--roles" not in command:
        return frozenset(Role)
    return frozenset(Role(role) for role in command[list(command).index("--roles") + 1].split(","))
