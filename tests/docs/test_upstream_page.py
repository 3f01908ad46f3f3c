"""The blocks of the page for upstream services, in their order in one shell, against everything running."""

import json
import os
import shutil
import site
import sys
from pathlib import Path

import pytest

from deploy.local.services import RunningSystem
from tests.node import node_or_skip

from .documents import REPOSITORY, as_another_client, blocks
from .test_readme_commands import SECONDS, _typed

PAGE = REPOSITORY / "docs" / "upstream.md"
#: what the blocks look at, and write beside
_NEEDED = ("Makefile", "requirements.lock", "deploy/contracts", "docs", "shared/contracts")

pytestmark = pytest.mark.timeout(SECONDS + 90)


def _copied(folder: Path) -> Path:
    """The repository as far as the page needs it, so that nothing is written into the real one."""
    for name in _NEEDED:
        source, target = REPOSITORY / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    environment = folder / ".venv"
    environment.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".ready":
            (environment / part.name).symlink_to(part)
    (environment / ".ready").touch()
    (folder / ".local").mkdir()
    return folder


def _has_node() -> bool:
    return shutil.which("node") is not None and shutil.which("npm") is not None


@pytest.fixture(scope="module")
def said(system: RunningSystem, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the terminal shows."""
    there = _copied(tmp_path_factory.mktemp("page"))
    typed = [block.text for block in blocks(PAGE) if _has_node() or "npm" not in block.text]
    own = {
        # pip finds what the tests run on already installed, and asks nobody for it.
        "PYTHONPATH": site.getsitepackages()[0],
        "PIP_NO_INDEX": "1",
        "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
        "npm_config_prefer_offline": "true",
        "npm_config_update_notifier": "false",
        "KAFKAJS_NO_PARTITIONER_WARNING": "1",
    }
    (there / ".local" / "stack.json").write_text(json.dumps(as_another_client(system.document())))
    return _typed("\n".join(typed), {**os.environ, **own}, there)


def _line(said: str, beginning: str) -> str:
    (line,) = [line for line in said.splitlines() if line.startswith(beginning)]
    return line


@pytest.mark.parametrize("client", ["aiokafka", "confluent-kafka"])
def test_the_command_of_each_client_for_python_is_answered_with_the_configuration(said: str, client: str) -> None:
    assert "'version': 1" in _line(said, f"with {client}:")


def test_the_command_of_the_program_for_node_is_answered_with_the_configuration(said: str) -> None:
    node_or_skip()
    reply = json.loads(_line(said, "{"))
    assert (reply["type"], reply["body"]["resource"]["version"]) == ("CommandAccepted", 1)


def test_every_block_of_the_page_runs() -> None:
    assert {(block.language, block.against) for block in blocks(PAGE)} == {("sh", "up")}
