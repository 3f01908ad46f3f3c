"""The figures as pictures: one in SVG for each measurement and unit, with the spread and the limit."""

import io
import re
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure as Picture

from deploy.local.bench.figures import Figure

_INCHES_WIDE = 11
_INCHES_AROUND = 1.2
_INCHES_EACH = 0.55
_LETTERS_A_LINE = 50


def plots(measured: Mapping[str, Sequence[Figure]]) -> dict[str, bytes]:
    """The pictures of all measurements, by their names, by the pictures' file names."""
    drawn = {}
    for name, figures in measured.items():
        for unit in sorted({figure.unit for figure in figures}):
            of_unit = [figure for figure in figures if figure.unit == unit]
            drawn[f"{name}-{_in_a_file_name(unit)}.svg"] = _drawn(f"{name} ({unit})", of_unit)
    return drawn


def _drawn(title: str, figures: Sequence[Figure]) -> bytes:
    picture = Picture(figsize=(_INCHES_WIDE, _INCHES_AROUND + _INCHES_EACH * len(figures)), layout="constrained")
    axes = picture.subplots()
    rows = range(len(figures))
    medians = [figure.median for figure in figures]
    axes.barh(rows, medians, height=0.5, color="#9dbfe0", label="median")
    axes.hlines(
        rows,
        [min(figure.runs) for figure in figures],
        [max(figure.runs) for figure in figures],
        colors="#1f4e79",
        label="lowest to highest",
    )
    limits = [(row, figure.limit) for row, figure in enumerate(figures) if figure.limit is not None]
    if limits:
        axes.plot(
            [limit for _, limit in limits], [row for row, _ in limits], "|", color="#c0392b", ms=18, label="limit"
        )
    for row, median in zip(rows, medians, strict=True):
        axes.text(0, row, f" {median:,.1f}", va="center")
    axes.set_yticks(rows, [textwrap.fill(figure.name, _LETTERS_A_LINE) for figure in figures])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15 - 0.2 / len(figures)), ncols=3, frameon=False)
    written = io.BytesIO()
    # Text stays text, which can be searched and read aloud.
    with mpl.rc_context({"svg.fonttype": "none"}):
        picture.savefig(written, format="svg")
    return written.getvalue()


def _in_a_file_name(unit: str) -> str:
    words = {"%": "percent", "/s": "per-second", "µs": "us"}
    return words.get(unit) or re.sub(r"[^A-Za-z0-9]+", "-", unit).strip("-")
