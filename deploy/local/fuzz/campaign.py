"""One service under fire: what Schemathesis is told, and its run as a process on the leash."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import ProcessFailedError
from deploy.local.fuzz.verdicts import Verdict, verdict_in
from deploy.local.fuzz.world import WORLD, World
from deploy.local.processes import SERVICE_RANK, Command, Leash
from deploy.local.services import REPOSITORY

#: Fields and parameters whose values are ids of the world: how often one is taken instead of a random one.
_IN_PATHS = 0.75
_IN_QUERIES = 0.3
_IN_BODIES = 0.85

#: Fields that take ids under another name.
_ALSO = {"accounts[*]": "account_id", "allocations[*]": "allocation_id", "instrument_ids": "allocation_id"}

#: What a valid request may be answered with: success, and the refusals that rest on what is there.
_ACCEPTED = ["2xx", 401, 403, 404, 409, 412, 422]
#: What an invalid one may be answered with. No 5xx, no 429, nothing else of the 4xx.
_REJECTED = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422]


@dataclass(frozen=True)
class Effort:
    """How much is tried."""

    #: random requests for each operation, and chains of requests
    examples: int
    #: the same seed makes the same requests, ids aside
    seed: int
    #: at most, for one service
    seconds: float


@dataclass(frozen=True)
class Target:
    """A service, and where it is."""

    name: str
    url: str


def attack(leash: Leash, target: Target, world: World, directory: Path, effort: Effort) -> Verdict:
    """Ask a service everything; raises ProcessFailedError where the run itself did not come to its end."""
    directory.mkdir(parents=True, exist_ok=True)
    world.keep(directory / "world.json")
    (directory / "identities.json").write_text(json.dumps(_identities(world.tokens)))
    (directory / "schemathesis.toml").write_text(_configuration(world, directory, effort))
    report = directory / "report.json"
    command = Command(
        name=f"fuzz-{target.name}",
        argv=[
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(directory / "schemathesis.toml")),
            *("run", f"{target.url}/openapi.json", "--report", "json", "--report-json-path", str(report), "--no-color"),
        ],
        log=directory / "said.txt",
        env={**os.environ, WORLD: str(directory / "world.json"), "PYTHONPATH": str(REPOSITORY)},
        cwd=directory,
        rank=SERVICE_RANK,
    )
    leash.run(command, seconds=effort.seconds)
    if not report.exists():
        raise ProcessFailedError(f"The requests to {target.name} did not come to their end.", command.log)
    return verdict_in(target.name, report, command.log)


def _identities(tokens: Mapping[str, str]) -> dict[str, object]:
    return {
        "auth": [
            {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
            for name, token in tokens.items()
        ]
    }


def _configuration(world: World, directory: Path, effort: Effort) -> str:
    dictionaries = "\n".join(
        f"[dictionaries.{name}]\nvalues = {json.dumps(values)}" for name, values in world.known.items()
    )
    bindings = "\n".join(
        f"{json.dumps(parameter)} = {{ dictionary = {json.dumps(name)}, probability = {probability} }}"
        for name in world.known
        for parameter, probability in _places_of(name)
    )
    return f"""\
seed = {effort.seed}
hooks = "deploy.local.fuzz.hooks"
continue-on-failure = true
request-timeout = 30.0
warnings = false

[cache]
enabled = false

[generation]
mode = "all"
max-examples = {effort.examples}
database = "none"

[checks]
positive_data_acceptance.expected-statuses = {json.dumps(_ACCEPTED)}
negative_data_rejection.expected-statuses = {json.dumps(_REJECTED)}
missing_required_header.expected-statuses = [400, 401, 404]

[auth.wfc]
path = {json.dumps(str(directory / "identities.json"))}
peers = {json.dumps(list(world.tokens))}

{dictionaries}

[parameters]
{bindings}
"""


def _places_of(name: str) -> list[tuple[str, float]]:
    fields = [name, *(field for field, known_as in _ALSO.items() if known_as == name)]
    return [
        (f"path.{name}", _IN_PATHS),
        (f"query.{name}", _IN_QUERIES),
        *((f"body.{field}", _IN_BODIES) for field in fields),
    ]
