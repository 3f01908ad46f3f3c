"""How figures are kept: as JSON for programs, and as the table that documents show."""

from deploy.local.bench.figures import Figure
from deploy.local.bench.results import markdown


def test_a_documents_table_shows_each_figure_with_its_spread_and_its_limit() -> None:
    rate = Figure("relay, one process", "/s", [80_000.0, 82_000.0, 79_000.0], limit=90_000, limit_is="produce only")

    assert markdown([rate, Figure("CPU per message", "µs", [9.6])]).splitlines() == [
        "| what | median | spread | limit |",
        "| --- | ---: | ---: | ---: |",
        "| relay, one process | 80,000.0 /s | 79,000.0 to 82,000.0 | 90,000.0 /s (produce only) |",
        "| CPU per message | 9.60 µs |  |  |",
    ]
