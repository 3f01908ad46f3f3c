"""The figures as pictures: a bar chart in SVG for each measurement and unit, with the spread and the limit."""

import re
from collections.abc import Mapping, Sequence

import pygal
from pygal.style import Style

from deploy.local.bench.figures import Figure

_WIDTH = 1000
_AROUND = 120
_EACH = 90
#: lowest, median, highest, limit
_STYLE = Style(background="white", plot_background="white", colors=("#b5d0e8", "#2f6fa8", "#b5d0e8", "#d9a441"))


def plots(measured: Mapping[str, Sequence[Figure]]) -> dict[str, bytes]:
    """The pictures of all measurements, by their names, by the pictures' file names."""
    drawn = {}
    for name, figures in measured.items():
        for unit in sorted({figure.unit for figure in figures}):
            of_unit = [figure for figure in figures if figure.unit == unit]
            drawn[f"{name}-{_in_a_file_name(unit)}.svg"] = _chart(name, unit, of_unit)
    return drawn


def _chart(name: str, unit: str, measured: Sequence[Figure]) -> bytes:
    figures = measured[::-1]  # it draws from the bottom up
    chart = pygal.HorizontalBar(
        title=f"{name} ({unit})",
        x_labels=[figure.name for figure in figures],
        width=_WIDTH,
        height=_AROUND + _EACH * len(figures),
        style=_STYLE,
        legend_at_bottom=True,
        truncate_label=-1,
        explicit_size=True,
        show_x_labels=False,
        show_x_guides=False,
        show_y_guides=False,
        # Nothing is loaded from elsewhere when it is looked at; a bar's value stands beside it instead of in a script.
        js=[],
        print_values=True,
        value_formatter=lambda value: f"{value:,.1f}",
    )
    chart.add("lowest", [min(figure.runs) for figure in figures])
    chart.add("median", [figure.median for figure in figures])
    chart.add("highest", [max(figure.runs) for figure in figures])
    chart.add("limit", [figure.limit for figure in figures])
    picture: bytes = chart.render()
    return picture


def _in_a_file_name(unit: str) -> str:
    words = {"%": "percent", "/s": "per-second", "µs": "us"}
    return words.get(unit) or re.sub(r"[^A-Za-z0-9]+", "-", unit).strip("-")
