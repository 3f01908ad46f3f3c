"""A histogram for what happens thousands of times a second."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from .metrics import Measure


class Tally:
    """Takes many values at once, in one thread: one by one, each costs the library a lock and a search."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._counts = [0] * (len(measure.ranges) + 1)
        self._sum = 0.0

    def observe_all(self, values: Iterable[float]) -> None:
        """Count each of them."""
        ranges, counts = self._measure.ranges, self._counts
        for value in values:
            counts[bisect_left(ranges, value)] += 1
            self._sum += value

    def collect(self) -> Iterable[Metric]:
        """As a histogram of the library would tell it."""
        ends = [*map(floatToGoString, self._measure.ranges), "+Inf"]
        buckets = list(zip(ends, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._measure.name, self._measure.meaning, buckets=buckets, sum_value=self._sum)
