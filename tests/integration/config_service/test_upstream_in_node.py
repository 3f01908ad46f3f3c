"""An upstream service in JavaScript: it knows the JSON Schemas and the samples, and nothing of our code."""

import asyncio
import json
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deploy.local.topics import records_of
from shared.contracts import CONFIGURATIONS_EVENTS
from shared.contracts.export import SCHEMAS
from shared.kit.kafka import Kafka
from tests.contract.baselines import REPOSITORY
from tests.node import SECONDS, node_or_skip, with_packages

from .bus import said_on
from .callers import Caller

PROJECT = REPOSITORY / "docs" / "upstream" / "node"

pytestmark = pytest.mark.timeout(2 * SECONDS)

Ran = subprocess.CompletedProcess[str]
Program = Callable[..., Awaitable[Ran]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node_or_skip()
    return with_packages(PROJECT, tmp_path_factory.mktemp("node"))


@pytest.fixture
def upstream(project: Path, kafka: Kafka, caller: Caller) -> Program:
    """Runs the program in the name of the caller."""

    async def run(**told: object) -> Ran:
        own = {"KAFKA": kafka.bootstrap, "TOPIC_PREFIX": kafka.prefix, "CONTRACTS": SCHEMAS.parent}
        whose = {"CLIENT_ID": caller.client_id, "ALLOCATION_ID": uuid4(), **told}
        environment = {**os.environ, **{name: str(value) for name, value in (own | whose).items()}}
        command = [node_or_skip(), str(project / "upstream.mjs")]
        return await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
        )

    return run


def _replies(ran: Ran) -> list[dict[str, Any]]:
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


async def test_a_command_from_node_sent_twice_has_one_effect_and_two_equal_replies(
    upstream: Program, caller: Caller, kafka: Kafka
) -> None:
    account_id = await caller.an_account()
    first, second = _replies(await upstream(ACCOUNT_ID=account_id, ALLOCATION_ID=await caller.an_allocation(), TIMES=2))

    assert first == second
    assert first["type"] == "CommandAccepted"
    assert first["body"]["resource"] == (await caller.get(f"/portfolios/configurations/{account_id}")).body
    said = await said_on(kafka, CONFIGURATIONS_EVENTS, account_id)
    assert [each.type for each in said] == ["ConfigurationCreated"]


async def test_a_refused_command_from_node_is_replied_to_with_the_problem(upstream: Program, caller: Caller) -> None:
    (reply,) = _replies(await upstream(ACCOUNT_ID=await caller.an_account()))

    assert (reply["type"], reply["body"]["problem"]["status"]) == ("CommandRejected", 404)


async def test_the_json_schema_stops_a_malformed_command_before_it_is_sent(upstream: Program, kafka: Kafka) -> None:
    ran = await upstream(ACCOUNT_ID="no-uuid")

    assert ran.returncode != 0
    assert "this is no CreateConfiguration: data/account_id must match format" in ran.stderr
    sent = await records_of(kafka, "configurations.commands.v1")
    assert not [record for record in sent if record.key == b"no-uuid"]
