"""The image is built from what is there, runs as nobody in particular, and its bill of materials is its lock."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT
from tests.programs import program

FOLDER = ROOT / "deploy" / "image"


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage of the Dockerfile, those before the first among the first's."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = [[]]
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "FROM" and any(each == "FROM" for each, _ in found[-1]):
            found.append([])
        found[-1].append((name, " ".join(rest.split())))
    return found


FIRST, LAST = stages()


def of(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for each, rest in stage if each == name]


def test_both_stages_stand_on_one_base_that_may_be_chosen() -> None:
    assert [base.partition(" AS ")[0] for stage in (FIRST, LAST) for base in of(stage, "FROM")] == ["${BASE}"] * 2
    assert [argument.partition("=")[0] for argument in of(FIRST, "ARG")] == ["BASE", "PIP_INDEX_URL"]


def test_the_last_stage_installs_nothing_and_is_told_no_secret() -> None:
    assert not of(LAST, "RUN")
    assert not of(LAST, "ARG")
    assert all(source.startswith("--from=made") for source in of(LAST, "COPY"))
    names = set(re.findall(r"(\w+)=", " ".join(of(LAST, "ENV"))))
    assert names == {
        "PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PORTFOLIO_BUS_HTTP_HOST", "PORTFOLIO_BUS_HTTP_PORT"
    }  # fmt: skip


def test_what_is_installed_is_locked_with_hashes_and_comes_as_wheels() -> None:
    (installs,) = [each for each in of(FIRST, "RUN") if "pip install" in each]
    assert {"--require-hashes", "--only-binary=:all:", "requirements.lock"} <= set(installs.split())
    assert "deploy/image/requirements.lock ." in of(FIRST, "COPY")


def test_it_runs_as_a_user_who_is_not_root_and_is_asked_for_its_health_by_python() -> None:
    (user,) = of(LAST, "USER")
    assert all(int(part) > 0 for part in user.split(":"))
    (check,) = of(LAST, "HEALTHCHECK")
    assert json.loads(check.partition("CMD ")[2]) == ["python", "/app/healthy.py"]
    assert of(LAST, "ENTRYPOINT") == ['["python", "-m"]']


def test_whatever_is_copied_is_there_and_is_not_kept_from_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {each.split()[0] for each in of(FIRST, "COPY")}
    assert copied == let_in
    assert [each for each in copied if not (ROOT / each).exists()] == []


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make sbom` writes, elsewhere."""
    folder = tmp_path_factory.mktemp("sbom")
    asked = [program("make", "make"), "-n", "sbom"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    (command,) = [line for line in told.stdout.replace("\\\n", " ").splitlines() if "cyclonedx-py" in line]
    there = folder / "sbom.json"
    # Held against the schema it takes ten times as long, which whoever ships it waits for, and no test.
    elsewhere = command.replace("dist/sbom.json", f"{there} --no-validate")
    subprocess.run([program("sh", "dash"), "-c", elsewhere], cwd=ROOT, check=True, timeout=60)
    return there


def test_the_bill_of_materials_names_what_the_image_installs_and_nothing_else(materials: Path) -> None:
    document = json.loads(materials.read_text())
    locked = re.findall(r"^([a-z0-9-]+)==(\S+)", (FOLDER / "requirements.lock").read_text(), re.MULTILINE)
    assert sorted((each["name"], each["version"]) for each in document["components"]) == sorted(locked)
    assert document["metadata"]["component"]["name"] == "portfolio-bus"
    without_hash = [
        each["name"]
        for each in document["components"]
        if not any("hashes" in reference for reference in each["externalReferences"])
    ]
    assert without_hash == []
