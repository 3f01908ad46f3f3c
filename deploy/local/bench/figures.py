"""A figure, its spread over the repetitions, and how a table shows it."""

from dataclasses import dataclass
from statistics import median, quantiles

#: what is smaller is shown with two decimals
_SMALL = 10


@dataclass(frozen=True)
class Figure:
    """One thing that was measured several times, beside what it may be."""

    name: str
    unit: str
    runs: list[float]
    #: what it should be at most, or what the same machine needs for the unavoidable part; None where nothing is set
    limit: float | None = None
    limit_is: str = ""

    @property
    def median(self) -> float:
        """The figure to quote."""
        return median(self.runs)

    def row(self) -> tuple[str, str, str, str, str]:
        """For the table: name, median, spread, limit, what the limit is."""
        spread = f"{_shown(min(self.runs))} to {_shown(max(self.runs))}" if len(self.runs) > 1 else ""
        limit = "" if self.limit is None else f"{_shown(self.limit)} {self.unit}"
        return self.name, f"{_shown(self.median)} {self.unit}", spread, limit, self.limit_is


def _shown(value: float) -> str:
    return f"{value:,.1f}" if value >= _SMALL else f"{value:.2f}"


def percentile(values: list[float], percent: int) -> float:
    """The value below which `percent` of them lie."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]
