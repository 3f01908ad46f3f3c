"""Kafka's classes, loaded and linked ahead of time: with them a broker is ready in less than half of the time.

Java 25 and newer write such an AOT cache when a training run ends (JEP 483, JEP 514). It holds for one Java and one
class path, so its name carries both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from deploy.local.artefacts import only_one
from deploy.local.java import major_version, release_of

OLDEST_JAVA = 25

#: Runs the program once, to its end, so that it writes the cache to this path.
Train = Callable[[Path], None]


def aot_cache(java: Path, jars: Sequence[Path], train: Train) -> Path | None:
    """Return the cache for this Java and class path, beside the folder of the jars; `train` makes one that is missing.

    None where Java is too old, and where the training left none: it is a matter of speed alone.
    """
    if (major_version(java) or 0) < OLDEST_JAVA:
        return None
    folder = jars[0].parent
    kept = folder.with_name(f"{folder.name}-{_key(java, jars)}.aot")
    if not kept.exists():
        with only_one(folder.with_name(f"{folder.name}.aot.lock")):
            if not kept.exists():
                _make(kept, folder, train)
    return kept if kept.stat().st_size else None


def _key(java: Path, jars: Sequence[Path]) -> str:
    # Java compares times and sizes as well, and does without the cache where they differ.
    stats = [(str(jar), (stat := jar.stat()).st_size, stat.st_mtime_ns) for jar in jars]
    return hashlib.sha256(f"{release_of(java)}{stats}".encode()).hexdigest()[:16]


def _make(kept: Path, folder: Path, train: Train) -> None:
    Console(stderr=True).print("Preparing Apache Kafka for quick starts (about ten seconds, once) …")
    for old in folder.parent.glob(f"{folder.name}-*.aot*"):
        old.unlink(missing_ok=True)
    part = kept.with_suffix(".aot-part")
    train(part)
    # An empty one says that it cannot be had here, so that it is not tried at every start.
    part.touch()
    part.replace(kept)
