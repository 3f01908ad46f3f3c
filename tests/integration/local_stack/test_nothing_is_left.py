"""Nothing outlives the program that started it, however that program ends."""

from __future__ import annotations

import signal

import pytest

from deploy.local.stack import Stack, local_stack

from .conftest import Starter, runs, wait_until


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda end: end.name)
def test_nothing_is_left_when_the_starter_ends_by(end: signal.Signals, starter: Starter) -> None:
    assert set(starter.pids) == {"kafka-1", "postgres"}
    assert all(runs(pid) for pid in starter.pids.values())

    starter.process.send_signal(end)

    wait_until(lambda: not any(runs(pid) for pid in starter.pids.values()), "Kafka and PostgreSQL are gone")
    wait_until(lambda: not starter.directory.exists(), "the data is gone")


def test_nothing_is_left_when_what_used_the_stack_fails() -> None:
    seen: list[Stack] = []

    def fail() -> None:
        with local_stack() as stack:
            seen.append(stack)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not any(runs(node.pid) for node in seen[0].nodes.values())
    assert not seen[0].directory.exists()
