"""The data of brokers that have nothing yet: formatted by Kafka's own tool once for a machine, and copied after that.

The tool is a program for the JVM that takes as long to start as a broker, to write two small files. They tell the
cluster, the broker's number in it and the version of its metadata; a quorum whose members the configuration names
(`controller.quorum.voters`) leaves nothing of one stack's in them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from deploy.local.artefacts import only_one

#: the id of every local cluster: sixteen bytes in URL-safe base 64, as Kafka wants it
CLUSTER = "cG9ydGZvbGlvLWJ1cy0wMA"

#: Formats this folder, which is not there yet.
Format = Callable[[Path], None]


def formatted(jars: Path, node_id: int, format_: Format) -> Path:
    """Return the folder to copy for the broker of this number, beside the folder of its `jars`, which has a version.

    `format_` makes one that is missing; what it raises is raised.
    """
    kept = jars.with_name(f"{jars.name}-formatted-{node_id}")
    if not kept.exists():
        with only_one(jars.with_name(f"{jars.name}.formatted.lock")):
            if not kept.exists():
                part = kept.with_name(f"{kept.name}.part")
                shutil.rmtree(part, ignore_errors=True)
                format_(part)
                part.replace(kept)
    return kept
