"""What the benchmark draws of its figures."""

import re
from collections.abc import Mapping, Sequence

from deploy.local.bench.figures import Figure

RATE = Figure("relay, one process", "/s", [80_000.0, 82_000.0, 79_000.0], limit=80_000)
COST = Figure("CPU per message", "µs", [9.6])


def drawn_of(measured: Mapping[str, Sequence[Figure]]) -> dict[str, bytes]:
    from deploy.local.bench.plots import plots  # noqa: PLC0415 -- importing what draws takes every worker seconds

    return plots(measured)


def test_each_measurement_has_a_picture_for_each_of_its_units() -> None:
    drawn = drawn_of({"relay": [RATE, COST], "starts": [Figure("start", "s", [1.5])]})

    assert sorted(drawn) == ["relay-per-second.svg", "relay-us.svg", "starts-s.svg"]


def test_a_picture_shows_what_a_figure_is_its_median_and_its_limit() -> None:
    said = drawn_of({"relay": [RATE]})["relay-per-second.svg"].decode()

    for shown in ("relay (/s)", "relay, one process", "80,000.0", "median", "lowest to highest", "limit"):
        assert shown in said


def test_a_picture_loads_nothing_from_elsewhere() -> None:
    picture = drawn_of({"relay": [COST]})["relay-us.svg"]

    assert not re.findall(rb'(?:href|src)="(?!#)', picture)
