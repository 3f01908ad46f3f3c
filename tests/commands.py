"""Commands of the services, run on a leash that has imported what they need."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from deploy.local.processes import Command, Leash
from deploy.local.services import REPOSITORY

_SECONDS = 100.0


class Ran(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


def run_command(
    leash: Leash, place: Path, service: str, *arguments: str, env: Mapping[str, str], cwd: Path = REPOSITORY
) -> Ran:
    """Run `python -m services.SERVICE ARGUMENTS` to its end; what it says is kept in `place`."""
    name = f"{service}-{uuid4().hex[:8]}"
    out, err = place / f"{name}.out", place / f"{name}.err"
    argv = [sys.executable, "-m", f"services.{service}", *arguments]
    status = leash.run(Command(name, argv, out, errors=err, env=env, cwd=cwd), seconds=_SECONDS)
    return Ran(status, out.read_text(), err.read_text())
