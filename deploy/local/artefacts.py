"""Java artefacts in the user's cache: fetched once through jgo, each checked against its SHA-256 sum.

A list of sums is the lock file of what runs on it. `kafka-4.3.1.sha256` lists what
`org.apache.kafka:kafka_2.13:4.3.1` (and `org.slf4j:slf4j-simple`, so that the broker can log) resolve to, as paths in
a Maven repository; `bench/peers` has another list, of what it measures.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from deploy.local.errors import ArtefactRefusedError, StackUnavailableError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA_VERSION = "4.3.1"
SUMS = Path(__file__).with_name(f"kafka-{KAFKA_VERSION}.sha256")

#: The address of a Maven repository to ask before the public one; jgo's own configuration file counts as well.
MAVEN_VARIABLE = "PORTFOLIO_BUS_STACK_MAVEN"

_ATTEMPTS = 3
_PARALLEL = 4

#: Puts the artefact of a repository path under a directory and returns where it lies.
Fetch = Callable[[PurePosixPath, Path], Path]


def user_cache() -> Path:
    """Return the directory that keeps what is worth fetching only once."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "portfolio-bus"


def kafka_jars(cache: Path | None = None, sums_file: Path = SUMS, fetch: Fetch | None = None) -> list[Path]:
    """Return the broker's class path, as `jars_of` does."""
    return jars_of(sums_file, f"Apache Kafka {KAFKA_VERSION} (44 MB, once)", cache, fetch)


def jars_of(sums_file: Path, what: str, cache: Path | None = None, fetch: Fetch | None = None) -> list[Path]:
    """Return the class path that a list of sums names, fetching it where the cache has none; the bar says `what`.

    Raises ArtefactRefusedError when a file is not what the repository's sums expect, and StackUnavailableError when
    no Maven repository serves it.
    """
    sums = read_sums(sums_file)
    cache = cache or user_cache()
    kept = cache / sums_file.stem
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with only_one(cache / f"{sums_file.stem}.lock"):
            if not kept.exists():
                _fetch_all(sums, kept, what, fetch or _from_maven)
    jars = {path: kept / path.name for path in sums}
    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(lambda item: check_sum(item[1], sums[item[0]]), jars.items()))
    return list(jars.values())


def read_sums(file: Path) -> dict[PurePosixPath, str]:
    """Read lines of `<sha256>  <path in a Maven repository>`."""
    pairs = (line.split() for line in file.read_text().splitlines() if line.strip())
    return {PurePosixPath(path): digest for digest, path in pairs}


def check_sum(file: Path, expected: str) -> None:
    """Raise ArtefactRefusedError unless the file's SHA-256 is `expected`."""
    try:
        with file.open("rb") as content:
            actual = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        actual = "missing"
    if actual != expected:
        raise ArtefactRefusedError(
            f"{file} is not the file that is expected here (SHA-256 {actual[:12]}…, expected {expected[:12]}…): "
            f"delete {file.parent} to fetch it again."
        )


@contextmanager
def only_one(lock_file: Path) -> Iterator[None]:
    """Let one process of the machine in at a time."""
    # The kernel drops this lock with the process that holds it: a killed starter leaves nothing locked.
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_all(sums: Mapping[PurePosixPath, str], kept: Path, what: str, fetch: Fetch) -> None:
    """Fetch into a temporary directory beside `kept` and rename it: what bears the name is complete."""
    for abandoned in kept.parent.glob(f"{kept.name}.part-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=f"{kept.name}.part-", dir=kept.parent))
    try:
        jars = part / "jars"
        jars.mkdir()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress, ThreadPoolExecutor(_PARALLEL) as pool:
            task = progress.add_task(f"Fetching {what}", total=len(sums))
            for path in pool.map(lambda path: _fetch_one(path, sums[path], part, fetch), sums):
                path.replace(jars / path.name)
                progress.advance(task)
        jars.replace(kept)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fetch_one(path: PurePosixPath, digest: str, directory: Path, fetch: Fetch) -> Path:
    """Fetch one file, again where the connection breaks: a half file left behind would be taken for a whole one."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            file = fetch(path, directory)
        except (OSError, RuntimeError) as error:  # jgo: requests' errors are OSErrors, "not found" a RuntimeError
            (directory / path).unlink(missing_ok=True)
            if attempt == _ATTEMPTS:
                raise StackUnavailableError(f"no Maven repository served {path.name}") from error
        else:
            check_sum(file, digest)
            return file
    raise AssertionError(path)


def _from_maven(path: PurePosixPath, directory: Path) -> Path:
    *group, artifact, version, _ = path.parts
    context = _maven(directory)
    return context.project(".".join(group), artifact).at_version(version).artifact().resolve()


def _maven(directory: Path) -> MavenContext:
    # Imported where it is needed: with the jars in the cache, jgo's import would be half of the warm start.
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    mirror = os.environ.get(MAVEN_VARIABLE)
    repositories = ({"mirror": mirror} if mirror else {}) | GlobalSettings.load().repositories
    return MavenContext(repo_cache=directory, remote_repos=repositories | {"central": MAVEN_CENTRAL_URL})
