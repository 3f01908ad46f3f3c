"""The tables of the documents, made from the code. `python -m tests.docs.tables` writes them into the documents."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from services.config_service import app as config_app
from services.config_service.settings import Settings as ConfigSettings
from services.ops_console.settings import Settings as ConsoleSettings
from services.order_service import app as order_app
from services.order_service.settings import Settings as OrderSettings
from services.webhook_dispatcher import app as dispatcher_app
from services.webhook_dispatcher.settings import Settings as DispatcherSettings
from services.webhook_dispatcher.workers import MEASURES as OF_THE_DISPATCHER
from shared.contracts import MESSAGES, TOPICS, Topic
from shared.kit.grants import grants_to_look
from shared.kit.metrics import MEASURES
from shared.kit.service import Service
from shared.kit.settings import PREFIX, KitSettings, SealingSettings
from tests.integration.all_services.bad_input import PARKED, Expected, all_cases

from .documents import documents

_SETTINGS: tuple[tuple[str, type[BaseSettings]], ...] = (
    ("all", KitSettings),
    ("config_service, webhook_dispatcher", SealingSettings),
    ("config_service", ConfigSettings),
    ("order_service", OrderSettings),
    ("webhook_dispatcher", DispatcherSettings),
    ("ops_console", ConsoleSettings),
)


def settings_table() -> str:
    rows, seen = [], set[str]()
    for whose, settings in _SETTINGS:
        for name, field in settings.model_fields.items():
            if name not in seen:
                rows.append((f"`{PREFIX}{name.upper()}`", whose, _default(field.default), field.description))
                seen.add(name)
    return _table(("variable", "for", "default", "meaning"), rows)


def _one(value: object) -> str:
    # A number, or a range of them.
    if isinstance(value, tuple):
        return "-".join(map(str, dict.fromkeys(value)))
    return f"{value:g}"


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "must be set"
    if value is None:
        return "none"
    if isinstance(value, frozenset | tuple | str):
        values = value if isinstance(value, str) else ",".join(map(_one, value))
        return f"`{values}`" if values else "none"
    return f"`{value:g}`"


def services() -> list[Service]:
    """All services as their composition roots build them; nothing is opened."""
    needed: dict[str, Any] = {
        "database_url": "postgresql://user:password@localhost/none",
        "kafka": "localhost:9092",
        "issuer_url": "http://localhost",
    }
    sealing: dict[str, Any] = {"secret_keys": "A" * 43 + "="}
    return [
        config_app.build(ConfigSettings(**needed, **sealing)),
        order_app.build(OrderSettings(**needed)),
        dispatcher_app.build(DispatcherSettings(**needed, **sealing)),
    ]


def topics_table() -> str:
    running = services()

    def writers(topic: Topic) -> str:
        if not any(message.topic is topic for message in MESSAGES.values()):
            return "nobody yet"
        return ", ".join(service.name for service in running if topic in service.publishes) or "upstream"

    def readers(topic: Topic) -> str:
        groups = [subscriber.group for service in running for subscriber in service.subscribers]
        reading = [s.group for service in running for s in service.subscribers if topic in s.topics]
        return ", ".join(group for group in groups if group in reading) or "nobody here"

    rows = [(f"`{topic.name}`", topic.key, _kept(topic), writers(topic), readers(topic)) for topic in TOPICS]
    return _table(("topic", "key", "kept", "written by", "read by"), rows)


def _kept(topic: Topic) -> str:
    return "compacted" if topic.compacted else f"{topic.retention.days} days" if topic.retention else "for ever"


def groups_table() -> str:
    rows = [
        (
            f"`{subscriber.group}`",
            ", ".join(f"`{topic.name}`" for topic in subscriber.topics),
            "keeps copies" if subscriber.keeps_copies else "acts",
            ", ".join(sorted(kind.__name__ for kind in [*subscriber.handlers, *subscriber.command_handlers])),
        )
        for service in services()
        for subscriber in service.subscribers
    ]
    return _table(("group", "reads", "what for", "takes"), rows)


def grants_table() -> str:
    # One row for what is done alike by the same service.
    named: dict[tuple[str, str, str], list[str]] = {}
    needed = {service.name: service.grants for service in services()} | {"ops_console": grants_to_look()}
    for name, grants in needed.items():
        for each in grants:
            beginning = f"`{each.name}…`" if each.name else "all"
            shown = beginning if each.prefixed else f"`{each.name}`"
            named.setdefault((name, each.operation, each.kind), []).append(shown)
    rows = [(f"{name}", operation, kind, ", ".join(names)) for (name, operation, kind), names in named.items()]
    return _table(("who", "may", "what", "which"), rows)


def input_table() -> str:
    # One row for an input, whatever services it was sent to.
    rows = {
        (case.about, case.what): (case.about, case.what, str(case.answer), _as_a_command(case.on_the_bus))
        for case in all_cases()
    }
    return _table(("what", "which", "over HTTP", "as a command"), [map(_escaped, row) for row in rows.values()])


def envelopes_table() -> str:
    return _table(("envelope", "parked as"), [(what, f"`{reason}`") for what, _, reason in PARKED])


def metrics_table() -> str:
    rows = [
        (f"`{each.name}`", each.kind, ", ".join(f"`{label}`" for label in each.labels) or "-", each.unit, each.meaning)
        for each in (*MEASURES, *OF_THE_DISPATCHER)
    ]
    return _table(("metric", "type", "labels", "unit", "meaning"), rows)


def _as_a_command(expected: Expected | None) -> str:
    if expected is None:
        return "-"
    return str(expected) if expected.at_fault else "accepted"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(map(str, head)), *(list(map(str, row)) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "topics": topics_table,
    "groups": groups_table,
    "grants": grants_table,
    "input": input_table,
    "envelopes": envelopes_table,
    "metrics": metrics_table,
}


def write_all() -> None:
    """Put the tables between their marks in every document."""
    for document in documents():
        text = document.read_text()
        for name, table in TABLES.items():
            beginning, end = f"<!-- table: {name} -->\n", "<!-- end -->"
            before, mark, rest = text.partition(beginning)
            if mark:
                text = before + mark + table() + end + rest.partition(end)[2]
        document.write_text(text)


if __name__ == "__main__":
    write_all()
