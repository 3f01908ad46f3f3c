"""The command line of a service: it makes clients, seals anew, and moves a group on."""

import asyncio
import json
import os
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from sqlalchemy import text

from deploy.local.services import RunningSystem
from services.config_service.domain import SCOPES, Credentials
from shared.kit.sealing import seal_anew
from shared.kit.secrets import SecretBox, new_sealing_key, new_secret
from shared.kit.unit_of_work import Database
from tests.commands import Ran, run_command
from tests.services import built

from .callers import Caller
from .conftest import NAME


async def _client_create(system: RunningSystem, scopes: str) -> Ran:
    return await _command(system, "client-create", "--name", "N", "--scopes", scopes)


async def _command(system: RunningSystem, *arguments: str, **environment: str) -> Ran:
    own = {"PORTFOLIO_BUS_DATABASE_URL": system.databases[NAME], "PORTFOLIO_BUS_ISSUER_URL": system.urls[NAME]}
    env = {**os.environ, **system.environment, **own, **environment}
    stack = system.stack
    return await asyncio.to_thread(run_command, stack.leash, stack.directory, NAME, *arguments, env=env)


async def test_client_create_prints_one_line_of_json_with_which_the_client_signs_in(
    system: RunningSystem, session: aiohttp.ClientSession
) -> None:
    status, out, err = await _client_create(system, "accounts:read orders:admin")
    assert (status, out.count("\n")) == (0, 1)
    audit = json.loads(err)
    assert (audit["event"], audit["by"], audit["subject"]) == (
        "client created",
        "command line",
        json.loads(out)["client_id"],
    )
    assert json.loads(out)["client_secret"] not in err
    caller = Caller(session, Credentials(**json.loads(out)))
    answer = await caller.token()
    assert (answer.status, answer.body["scope"]) == (200, "accounts:read orders:admin")


async def test_client_create_refuses_an_unknown_scope_with_a_sentence_that_lists_them(system: RunningSystem) -> None:
    status, out, err = await _client_create(system, "accounts:read accounts:write")
    assert (status, out) == (1, "")
    assert err.startswith("There is no scope accounts:write; the scopes are ")
    assert all(scope in err for scope in SCOPES)
    assert "Traceback" not in err


async def test_a_client_that_somebody_knows_already_is_made_once_and_its_secret_is_not_printed(
    system: RunningSystem, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    known = Credentials(str(uuid4()), new_secret())
    _keep(known, tmp_path)
    asked = ("client-create", "--name", "console", "--scopes", "ops:admin", "--known-in", str(tmp_path))
    first, second = await _command(system, *asked), await _command(system, *asked)
    assert (first[:2], second[:2]) == ((0, ""), (0, ""))
    assert json.loads(first[2])["subject"] == known.client_id
    assert known.client_secret not in first[2]
    assert second[2] == "", "nothing was made, so that there is nothing to audit"
    answer = await Caller(session, known).token()
    assert (answer.status, answer.body["scope"]) == (200, "ops:admin")


UNKNOWN = "5f6e2c1a-0d5b-4a2e-9a57-3c1f6f3f1b7e"


@pytest.mark.parametrize(
    ("client_id", "secret", "names", "status", "said"),
    [
        ("console", "x" * 43, 1, 1, "A client's id is a UUID, and its secret as long as ours are"),
        (UNKNOWN, "x" * 42, 1, 1, "A client's id is a UUID, and its secret as long as ours are"),
        (UNKNOWN, "x" * 43, 2, 2, "takes one --name"),
        (UNKNOWN, None, 1, 1, "portfolio_bus_client_secret cannot be read (No such file or directory)."),
    ],
)
async def test_a_known_client_that_is_unfit_is_refused_with_a_sentence(
    system: RunningSystem, tmp_path: Path, *, client_id: str, secret: str | None, names: int, status: int, said: str
) -> None:
    (tmp_path / "portfolio_bus_client_id").write_text(client_id)
    if secret is not None:
        (tmp_path / "portfolio_bus_client_secret").write_text(secret)
    named = ["--name", "console"] * names
    code, out, err = await _command(
        system, "client-create", *named, "--scopes", "ops:admin", "--known-in", str(tmp_path)
    )
    assert (code, out) == (status, ""), err
    assert said in " ".join(err.replace("│", "").split())
    assert "Traceback" not in err


def _keep(known: Credentials, folder: Path) -> None:
    for name, value in vars(known).items():
        (folder / f"portfolio_bus_{name}").write_text(f"{value}\n")


async def test_reseal_puts_everything_under_the_first_key_and_has_nothing_to_do_the_second_time(
    system: RunningSystem, database: Database
) -> None:
    old, new = system.environment["PORTFOLIO_BUS_SECRET_KEYS"], new_sealing_key()
    assert await _sealed_under(database, old)
    sealed = built(NAME).sealed
    assert await seal_anew(database, SecretBox([new, old]), sealed) == 1
    assert await seal_anew(database, SecretBox([new, old]), sealed) == 0
    assert await _sealed_under(database, new)
    ran = await _command(system, "reseal", PORTFOLIO_BUS_SECRET_KEYS=f"{old},{new}")
    assert (ran[0], ran[1]) == (0, "config_service: 1 values sealed anew\n"), ran[2]
    assert await _sealed_under(database, old)


async def _sealed_under(database: Database, key: str) -> bool:
    async with database.reading() as connection:
        found = (await connection.execute(text("SELECT sealed FROM signing_keys"))).scalars().all()
    return all(sealed.startswith(SecretBox([key]).mark) and SecretBox([key]).open(sealed) for sealed in found)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["config_service.commands", "configurations.commands.v1"], 0, "was moved on in 0 partitions"),
        (["orders", "configurations.commands.v1"], 1, "has no consumer group orders; it has config_service.commands."),
        (["config_service.commands", "orders.events.v1"], 1, "does not read orders.events.v1; it reads "),
        (["config_service.commands", "configurations.commands.v1", "--to", "3"], 2, "are given together"),
        (["config_service.commands", "configurations.commands.v1", "--partition", "0", "--to", "99"], 1, "ends at "),
    ],
)
async def test_skip_says_what_it_has_moved_or_what_is_wrong(
    system: RunningSystem, arguments: list[str], status: int, said: str
) -> None:
    code, out, err = await _command(system, "skip", *arguments)

    assert (code, said in out + err) == (status, True), out + err
