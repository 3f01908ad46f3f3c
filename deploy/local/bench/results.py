"""How figures are shown in the terminal, and kept as JSON in `bench-results/` with the machine that they are of."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.table import Table

from deploy.local.bench.figures import Figure

RESULTS = Path("bench-results")


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


def keep(figures: Sequence[Figure], suffix: str = "") -> Path:
    """Write them down and answer where; `suffix` tells benchmarks apart."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}{suffix}.json"
    machine = {
        "processors": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    document = {"machine": machine, "figures": [vars(figure) | {"median": figure.median} for figure in figures]}
    file.write_text(json.dumps(document, indent=2))
    return file
