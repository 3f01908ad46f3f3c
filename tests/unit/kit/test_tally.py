"""A tally tells what a histogram of the library tells of the same values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from shared.kit.metrics import Kind, Measure, Measured, Metrics
from shared.kit.tally import Tally

RANGES = (0.001, 0.0025, 1.0, 300.0, 86_400.0)
MEASURE = Measure("bench_seconds", Kind.HISTOGRAM, (), "seconds", "Time that it took.", RANGES)
VALUES = st.one_of(st.sampled_from([0.0, *RANGES]), st.floats(min_value=0, max_value=1e6, allow_nan=False))


@given(st.lists(st.lists(VALUES)))
def test_however_values_come_they_are_told_as_the_library_tells_them(batches: list[list[float]]) -> None:
    tally, library = Tally(MEASURE), MEASURE.histogram()
    for batch in batches:
        tally.observe_all(batch)
        for value in batch:
            library.observe(value)

    ours, theirs = _samples(tally), _samples(library)
    total = ("bench_seconds_sum", "")
    assert math.isclose(ours.pop(total), theirs.pop(total), abs_tol=1e-9)
    assert ours == theirs


def _samples(of: Measured) -> dict[tuple[str, str], float]:
    told = [sample for metric in of.collect() for sample in metric.samples if not sample.name.endswith("_created")]
    return {(each.name, each.labels.get("le", "")): each.value for each in told}


def test_its_text_is_prometheus_own() -> None:
    tally = Tally(MEASURE)
    tally.observe_all([0.0025, 2.0])
    registry = CollectorRegistry()
    registry.register(tally)
    text = generate_latest(registry).decode()
    assert "# TYPE bench_seconds histogram\n" in text
    assert 'bench_seconds_bucket{le="0.0025"} 1.0\n' in text
    assert 'bench_seconds_bucket{le="+Inf"} 2.0\n' in text
    assert "bench_seconds_count 2.0\n" in text


def test_two_of_one_name_are_refused() -> None:
    metrics = Metrics()
    metrics.add(Tally(MEASURE))
    with pytest.raises(ValueError, match="bench_seconds"):
        metrics.add(Tally(MEASURE))
