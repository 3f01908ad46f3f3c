"""Whether the checker sees what it should: every seeded defect is put into a copy of the sources and must be caught.

    python -m deploy.local.faults.mutants [NAME …]

A mutant is a patch under `tests/faults/mutants` whose first lines say what is wrong and what catches it:

    # A relay that deletes before Kafka has acknowledged.
    # caught by: faults --kills 6 --only boundary --at relay.deleted
    # breaks: P1

It is caught if the run finds what breaks that promise; of a test that catches it (`pytest tests/…`) it is enough
that it fails. The exit status is 0 if all were caught, 1 if one survived, 2 if one could not be tried.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from deploy.local.services import REPOSITORY

PATCHES = REPOSITORY / "tests" / "faults" / "mutants"

_CAUGHT_BY = "# caught by: "
_BREAKS = "# breaks: "
#: what a mutant's sources are; nothing of it is written to
_COPIED = ("deploy", "docs", "services", "shared", "tests", "pyproject.toml")
_SECONDS = 600
_TAIL = 12
_SHOWN = 3
_OTHERWISE = {0: "SURVIVED", 1: "SURVIVED: only something else was found"}


@dataclass(frozen=True)
class Mutant:
    """One seeded defect."""

    patch: Path
    sentence: str
    command: Sequence[str]
    #: the promise that the faults must find broken; None where a test catches it
    breaks: str | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.patch.stem

    @classmethod
    def of(cls, patch: Path) -> Mutant:
        """Read what a patch says of itself; ValueError where it does not."""
        comments = [line for line in patch.read_text().splitlines() if line.startswith("# ")]
        tool, *arguments = next(
            shlex.split(line[len(_CAUGHT_BY) :]) for line in comments if line.startswith(_CAUGHT_BY)
        )
        programs = {
            "faults": ["-m", "deploy.local.faults", "--patience", "45"],
            "pytest": ["-m", "pytest", "-n", "0", "-q", "-x"],
        }
        breaks = next((line[len(_BREAKS) :] for line in comments if line.startswith(_BREAKS)), None)
        return cls(patch, comments[0][2:], [sys.executable, *programs[tool], *arguments], breaks)


def mutants() -> list[Mutant]:
    """All of them, by name."""
    return [Mutant.of(patch) for patch in sorted(PATCHES.glob("*.patch"))]


def applies(mutant: Mutant, tree: Path = REPOSITORY, *, checked_only: bool = True) -> bool:
    """Whether the patch fits the sources in `tree`, where it is applied unless it is only checked."""
    check = ["--check"] if checked_only else []
    # Outside of any repository, so that the paths are those of the tree.
    command = ["git", "apply", *check, "-p1", str(mutant.patch)]
    return subprocess.run(command, cwd=tree, capture_output=True, check=False).returncode == 0


def main(names: Sequence[str]) -> int:
    """Try the mutants of these names, or all; answers the exit status."""
    console = Console(highlight=False, soft_wrap=True)
    chosen = [mutant for mutant in mutants() if not names or mutant.name in names]
    verdicts = {mutant.name: _tried(mutant, console) for mutant in chosen}
    for name, verdict in verdicts.items():
        console.print(f"{name:<44} {verdict}")
    console.print(f"{list(verdicts.values()).count('caught')} of {len(verdicts)} caught")
    return max((_status_of(verdict) for verdict in verdicts.values()), default=2)


def _status_of(verdict: str) -> int:
    return 0 if verdict == "caught" else 1 if verdict.startswith("SURVIVED") else 2


def _tried(mutant: Mutant, console: Console) -> str:
    began = time.monotonic()
    with _mutated(mutant) as tree:
        if tree is None:
            return "does not apply"
        try:
            done = subprocess.run(
                mutant.command, cwd=tree, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            status, said = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            status, said = 2, "took too long"
        evidence = _evidence_in(tree, mutant, said)
    verdict = "caught" if status == 1 and evidence else _OTHERWISE.get(status, f"could not be tried ({status})")
    console.print(f"{mutant.name}: {mutant.sentence} {verdict}, in {time.monotonic() - began:.0f} s", markup=False)
    for line in evidence or said.splitlines()[-_TAIL:]:
        console.print(f"  | {line[:240]}", markup=False)
    return verdict


def _evidence_in(tree: Path, mutant: Mutant, said: str) -> list[str]:
    """What shows that it was caught: failed tests, or violations of the promise that it breaks."""
    if mutant.breaks is None:
        return [line for line in said.splitlines() if line.startswith("FAILED ")][:_SHOWN]
    found = [line for file in tree.glob(".local/faults/*/violations.txt") for line in file.read_text().splitlines()]
    return [line for line in found if line.startswith(f"{mutant.breaks} ")][:_SHOWN]


@contextmanager
def _mutated(mutant: Mutant) -> Iterator[Path | None]:
    """A copy of the sources with the defect in it; None where the patch does not fit any more."""
    with tempfile.TemporaryDirectory(prefix="portfolio-bus-mutant-") as place:
        tree = Path(place)
        for name in _COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy(source, tree / name)
        yield tree if applies(mutant, tree, checked_only=False) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
