"""Whatever the documents have somebody type at `portfolio-bus` is a command of it, with options that it has."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from services.ops_console.app import build

from .documents import README, REPOSITORY, documents

_TYPED = re.compile(r"`portfolio-bus ([^`\n]+)`")


def typed() -> Iterator[tuple[str, str]]:
    for document in documents():
        for line in _TYPED.findall(document.read_text()):
            yield document.relative_to(REPOSITORY).as_posix(), line


def wrong_in(line: str) -> str | None:
    """What of a command line is not there; nothing is run."""
    command: Any = typer.main.get_command(build())
    words = shlex.split(line)
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if name not in command.commands:
            return name
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    return next((word for word in words if word.startswith("--") and word not in options), None)


@pytest.mark.parametrize(("document", "line"), sorted(set(typed())))
def test_a_command_line_in_a_document_can_be_typed(document: str, line: str) -> None:
    assert wrong_in(line) is None, document


def test_the_runbooks_have_somebody_type_commands() -> None:
    assert len({line for document, line in typed() if "runbooks" in document}) >= 10


@pytest.mark.parametrize(("line", "wrong"), [("lags", "lags"), ("parked send G", "send"), ("lag --all", "--all")])
def test_a_command_line_that_is_wrong_is_found(line: str, wrong: str) -> None:
    assert wrong_in(line) == wrong


def test_every_setting_that_a_document_names_is_one() -> None:
    known = set(re.findall(r"PORTFOLIO_BUS_[A-Z_]+", README.read_text()))
    named = {
        (document.name, name)
        for document in documents()
        for name in re.findall(r"PORTFOLIO_BUS_[A-Z_]+", document.read_text())
    }
    assert {(document, name) for document, name in named if name not in known} == set()
