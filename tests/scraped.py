"""What /metrics told, to be asked for single values."""

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

#: labels that belong to the format, not to the metric
_OF_THE_FORMAT = {"le"}


class Scraped:
    """One answer of /metrics."""

    def __init__(self, text: str) -> None:
        self.families: list[Metric] = list(text_string_to_metric_families(text))
        self.samples = [sample for family in self.families for sample in family.samples]

    def of(self, name: str, **labels: str) -> float | None:
        """The sum of the samples called `name` with these labels; None if there is none."""
        found = self.all(name, **labels)
        return sum(found) if found else None

    def all(self, name: str, **labels: str) -> list[float]:
        return [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]

    def labels(self, name: str, label: str) -> set[str]:
        return {s.labels[label] for s in self.samples if s.name == name}

    def described(self) -> Iterable[tuple[str, str, str, frozenset[str] | None]]:
        """Name, type, meaning and labels of each metric; None for the labels of one that has no sample."""
        for family in self.families:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {frozenset(sample.labels) - _OF_THE_FORMAT for sample in family.samples}
            assert len(labels) <= 1, f"{name} has different labels"
            yield name, family.type, family.documentation, next(iter(labels), None)
