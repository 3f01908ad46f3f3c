"""How figures are shown in the terminal, and kept in `bench-results/` with the machine that they are of."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.table import Table

from deploy.local.bench.figures import Figure

RESULTS = Path("bench-results")
#: whose versions are told with the figures
LIBRARIES = ("aiokafka", "asyncpg", "confluent-kafka", "fastapi", "faststream", "pydantic", "sqlalchemy")


def table(figures: Sequence[Figure]) -> Table:
    """All figures; columns of limits only where there is one."""
    limited = any(figure.limit is not None for figure in figures)
    columns = ("what", "median", "spread", *(("limit", "the limit is") if limited else ()))
    shown = Table(title="median of the repetitions; absolute figures are this machine's")
    for column in columns:
        shown.add_column(column, justify="left" if column in {"what", "the limit is"} else "right")
    for figure in figures:
        shown.add_row(*figure.row()[: len(columns)])
    return shown


def markdown(figures: Sequence[Figure]) -> str:
    """All figures as a table of a document: name, median, spread, limit with what it is."""
    rows = [("what", "median", "spread", "limit")]
    for figure in figures:
        name, shown, spread, limit, limit_is = figure.row()
        rows.append((name, shown, spread, f"{limit} ({limit_is})" if limit_is else limit))
    rows.insert(1, ("---", "---:", "---:", "---:"))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def keep(measured: Mapping[str, Sequence[Figure]], commit: str, suffix: str = "") -> Path:
    """Write the figures of each measurement down, as JSON, as a table in Markdown and as pictures; answers the folder.

    `commit` is that of the sources that were measured; `suffix` tells benchmarks apart.
    """
    folder = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}{suffix}"
    folder.mkdir(parents=True)
    machine = {
        "processors": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    figures = [
        {"measurement": name, **vars(figure), "median": figure.median}
        for name, figures in measured.items()
        for figure in figures
    ]
    settings = {"arguments": sys.argv[1:]}
    document = {"commit": commit, "machine": machine, "settings": settings, "figures": figures}
    (folder / "figures.json").write_text(json.dumps(document, indent=2))
    (folder / "figures.md").write_text(markdown([figure for figures in measured.values() for figure in figures]))
    # Imported where it is needed: what draws takes longer to import than all the rest.
    from deploy.local.bench.plots import plots  # noqa: PLC0415

    for name, picture in plots(measured).items():
        (folder / name).write_bytes(picture)
    return folder
