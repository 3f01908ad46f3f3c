"""Brokers begin with a copy of data that Kafka's own tool has formatted once for the machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local.errors import ProcessFailedError
from deploy.local.formatted import CLUSTER, formatted
from deploy.local.stack import Stack


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    folder = tmp_path / "broker-1.0"
    folder.mkdir()
    return folder


def _format(place: Path) -> None:
    place.mkdir()
    (place / "meta.properties").write_text("version=1")


def _fail(place: Path) -> None:
    _format(place)
    message = "The data of kafka-1 could not be formatted."
    raise ProcessFailedError(message)


def test_a_broker_of_the_stack_has_its_number_and_the_cluster_of_all_local_stacks(own_stack: Stack) -> None:
    told = (own_stack.directory / "kafka-1-log" / "meta.properties").read_text().splitlines()
    assert {f"cluster.id={CLUSTER}", "node.id=1", "version=1"} <= set(told)


def test_starters_at_the_same_time_format_it_once_for_each_broker(jars: Path) -> None:
    asked: list[Path] = []

    def counted(place: Path) -> None:
        asked.append(place)
        _format(place)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: formatted(jars, number, counted), [1, 2, 1, 2]))
    assert len(asked) == len(set(made)) == 2
    assert {each.name for each in made} == {"broker-1.0-formatted-1", "broker-1.0-formatted-2"}
    assert (made[0] / "meta.properties").read_text() == "version=1"


def test_what_could_not_be_formatted_or_was_left_half_done_is_formatted_anew(jars: Path) -> None:
    with pytest.raises(ProcessFailedError):
        formatted(jars, 1, _fail)
    left = jars.with_name("broker-1.0-formatted-1.part")
    assert left.exists()

    kept = formatted(jars, 1, _format)
    assert [file.name for file in kept.iterdir()] == ["meta.properties"]
    assert not left.exists()
