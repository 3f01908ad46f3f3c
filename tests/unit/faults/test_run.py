"""A run is told what services read, and one whose load stands still ends and says what is left."""

import asyncio
import time
from pathlib import Path

from deploy.local.faults.ledger import Ledger
from deploy.local.faults.plan import Plan
from deploy.local.faults.run import stands_still
from deploy.local.faults.stage import environment_of
from deploy.local.services import service_names
from tests.deployed import variables_of

SECONDS = 0.3


async def test_a_load_stands_still_once_nothing_was_answered_for_a_while(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        told_at = list[float]()

        def tell() -> None:
            ledger.write("told", op="one")
            told_at.append(time.monotonic())

        loop, began = asyncio.get_running_loop(), time.monotonic()
        for after in (0.0, 0.1, 0.2, 0.3):
            loop.call_later(after, tell)
        async with asyncio.timeout(30):
            await stands_still(ledger, SECONDS)
        assert time.monotonic() - max([began, *told_at]) >= SECONDS


def test_every_setting_of_a_run_is_one_that_some_service_reads() -> None:
    read = set[str]().union(*map(variables_of, service_names()))

    assert environment_of(Plan(1, 100)).keys() <= read


async def test_what_is_asked_and_never_answered_is_no_sign_of_life(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        asking = asyncio.create_task(_ask_on_and_on(ledger))
        async with asyncio.timeout(30):
            await stands_still(ledger, SECONDS)
        asking.cancel()


async def _ask_on_and_on(ledger: Ledger) -> None:
    while True:
        ledger.write("asked", op="one")
        await asyncio.sleep(SECONDS / 10)
