"""The wheel for upstream services: the same files under another name, and pydantic is all that it brings."""

import hashlib
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from shared.contracts.export import SAMPLES
from tests.docs.asyncapi import DOCUMENT, version

from .baselines import REPOSITORY

CONTRACTS = REPOSITORY / "shared" / "contracts"
RECIPE = REPOSITORY / "deploy" / "contracts"
PACKAGE = "portfolio_bus_contracts"

#: what may be imported besides the standard library and the package
ALLOWED = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}

#: refuses every other import, as if nothing else were installed
_ALONE = f"""
import sys
from importlib.abc import MetaPathFinder

class Alone(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        # The standard library's own, whose name is the platform's.
        if top.startswith("_sysconfigdata"):
            return None
        if top not in {ALLOWED | {PACKAGE}!r} and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{{name}} is not there", name=name)

sys.meta_path.insert(0, Alone())
sys.path.insert(0, sys.argv[1])
"""

_EVERYTHING = """
import json, pkgutil, importlib
from pathlib import Path
import portfolio_bus_contracts as contracts

folder = Path(contracts.__file__).parent
for module in pkgutil.iter_modules(contracts.__path__):
    importlib.import_module(f"{contracts.__name__}.{module.name}")
for name, kind in contracts.MESSAGES.items():
    sample = json.loads((folder / "samples" / f"{name}.json").read_text())
    headers = {header: value.encode() for header, value in sample["headers"].items()}
    came = contracts.read(kind.topic.name, sample["key"].encode(), json.dumps(sample["body"]).encode(), headers)
    again = contracts.record_of(came.message, client_id=came.envelope.client_id, source="/upstream")
    assert contracts.read(again.topic, again.key, again.value, again.headers).message == came.message
    assert (folder / "schemas" / f"{name}.json").exists()
print("read and sent again:", len(contracts.MESSAGES))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=RECIPE, check=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with nothing in it but the wheel."""
    folder: Path = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", folder, wheel], check=True)
    return folder


def _alone(installed: Path, program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-I", "-c", _ALONE + program, installed], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_files_of_the_contracts_and_the_bus_and_nothing_else(installed: Path) -> None:
    beside = {
        "asyncapi.json": hashlib.sha256(DOCUMENT.read_bytes()).hexdigest(),
        "py.typed": hashlib.sha256(b"").hexdigest(),
    }
    assert _digests(installed / PACKAGE) == _digests(CONTRACTS) | beside
    assert {path.name.partition("-")[0] for path in installed.iterdir()} == {PACKAGE}


def test_the_wheel_asks_for_pydantic_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        about = message_from_bytes(archive.read(name))
    wanted = about.get_all("Requires-Dist")
    assert wanted is not None
    assert [re.split(r"\W", each)[0] for each in wanted] == ["pydantic"]
    assert about["Version"] == version()


def test_every_message_is_built_and_read_where_pydantic_is_all_that_is_there(installed: Path) -> None:
    count = len(list(SAMPLES.glob("*.json")))
    assert _alone(installed, _EVERYTHING) == f"read and sent again: {count}\n"


@pytest.mark.parametrize("library", ["fastapi", "sqlalchemy", "aiokafka", "faststream", "asyncpg", "shared"])
def test_what_is_not_allowed_there_cannot_be_imported(installed: Path, library: str) -> None:
    program = f"try: import {library}\nexcept ModuleNotFoundError: print('not there')"
    assert _alone(installed, program) == "not there\n"


def test_the_code_in_the_wheels_readme_runs(installed: Path) -> None:
    code = "\n".join(
        re.findall(r"^```python\n(.*?)^```$", (RECIPE / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    )
    reply = """
import json
from pathlib import Path
import portfolio_bus_contracts as contracts

sample = json.loads((Path(contracts.__file__).parent / "samples" / "CommandAccepted.json").read_text())
sent = contracts.read(record.topic, record.key, record.value, record.headers).envelope
own = {"command_id": sent.id, "command_source": sent.source}
headers = [(name, value.encode()) for name, value in sample["headers"].items()]
topic, key = contracts.COMMANDS_REPLIES.name, sample["key"].encode()
print(on_record(topic, key, json.dumps(sample["body"] | own).encode(), headers)["version"])
print(on_record(topic, key, json.dumps(sample["body"]).encode(), headers))
print(on_record(topic, key, b"{}", headers))
"""
    *_, accepted, other, unreadable = _alone(installed, code + reply).splitlines()
    assert accepted == "1"
    assert other == "the reply to another command"
    assert unreadable == "not for this version: invalid_body"
