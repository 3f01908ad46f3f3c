"""What a query to Prometheus asks for: its metrics and labels, to be held against what the services tell."""

import re
from dataclasses import dataclass

from services.webhook_dispatcher.workers import MEASURES as OF_THE_DISPATCHER
from shared.kit.metrics import MEASURES, Kind, Measure

_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}
_STRING = re.compile(r'"[^"]*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_MATCHERS = re.compile(r"\{([^}]*)\}")
_RANGE = re.compile(r"\[[^\]]*\]|\b\d+[smhdwy]\b")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*(?!\w*\s*\()")

#: what Prometheus adds to every series, and what belongs to the format of histograms
_OF_PROMETHEUS = {"job", "instance", "le"}


@dataclass(frozen=True)
class Asked:
    """The metrics and labels that a query names."""

    metrics: frozenset[str]
    labels: frozenset[str]


def asked_in(query: str) -> Asked:
    bare = _STRING.sub("", query)
    named = [label for labels in _GROUPING.findall(bare) for label in re.findall(r"\w+", labels)]
    matched = [label for matchers in _MATCHERS.findall(bare) for label in re.findall(r"(\w+)\s*[=!]", matchers)]
    rest = _RANGE.sub("", _MATCHERS.sub("", _GROUPING.sub("", bare)))
    return Asked(frozenset(_NAME.findall(rest)) - _WORDS, frozenset([*named, *matched]))


def series_told() -> dict[str, frozenset[str]]:
    """Every series that the services tell, by its name in queries, with its labels."""
    return {name: frozenset(each.labels) for each in (*MEASURES, *OF_THE_DISPATCHER) for name in _names_of(each)}


def _names_of(measure: Measure) -> list[str]:
    if measure.kind is not Kind.HISTOGRAM:
        return [measure.name]
    return [f"{measure.name}_{part}" for part in ("bucket", "count", "sum")]


def unknown_in(query: str, also: dict[str, frozenset[str]] | None = None) -> set[str]:
    """Metrics and labels of the query that nobody tells; `also` are those of other exporters."""
    told = series_told() | (also or {})
    asked = asked_in(query)
    labels = frozenset[str]().union(_OF_PROMETHEUS, *(told.get(metric, frozenset()) for metric in asked.metrics))
    return set((asked.metrics - told.keys()) | (asked.labels - labels))
