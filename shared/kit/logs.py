"""Structured logs: one JSON object per line on stdout, everything of the standard library's logging included.

On a terminal the same lines are shown for people. Secrets are blacked out by name and by shape on the way out, as the
last step before rendering, so that a traceback cannot carry one either.
"""

import json
import logging
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

REDACTED: Final = "[redacted]"

#: aiokafka logs an error every 100 ms while a broker is away, librdkafka one for each of its connections, OpenTelemetry
#: one for each span that it drops.
CHATTY: Final = ("aiokafka", "faststream", "librdkafka", "opentelemetry", "urllib3")

_SECRET_NAME = re.compile(r"(?i)secret|password|passwd|authorization|token|database_url|dsn|cookie|private_key")
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@]+@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*")
_TEMPLATES_KEPT = 512
#: what every line has of its own
_SAME: Final = frozenset({"event", "logger", "level", "timestamp", "service"})
_DEPTH = 4


def get_logger(name: str) -> FilteringBoundLogger:
    """Give the logger of a module; costs nothing until it is used, and follows later configuration."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


def configure_logs(service: str, level: str = "INFO", *, stream: TextIO | None = None) -> None:
    """Send every log line of the process to stdout (or `stream`), from `level` up, marked with the service's name."""
    out = stream if stream is not None else sys.stdout
    threshold = logging.getLevelNamesMapping()[level]
    shared = _shared_processors(service)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Output(out, service)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=["suppressed"])],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                _renderer(on_terminal=out.isatty()),
            ],
        ),
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    logging.captureWarnings(capture=True)
    for name in CHATTY:
        rate_limited(name, per_seconds=10.0)


def log_all(logger_name: str, event: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Log `event` at level INFO once for each of `lines`, its fields, all in one write.

    For what happens thousands of times a second: a line costs a tenth of what it costs otherwise and looks the same.
    """
    if not logging.getLogger().isEnabledFor(logging.INFO):
        return
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Output) and not handler.stream.isatty():
            handler.write_all(logger_name, event, lines)
            return
    for fields in lines:
        get_logger(logger_name).info(event, **fields)


class _Output(logging.StreamHandler[TextIO]):
    """Where all lines go."""

    def __init__(self, out: TextIO, service: str) -> None:
        super().__init__(out)
        self._service = service

    def write_all(self, logger_name: str, event: str, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write lines as the processors would make them of these fields."""
        same = {
            "event": event,
            "logger": logger_name,
            "level": "info",
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "service": self._service,
        }
        around, end = structlog.contextvars.get_contextvars(), f",{_to_json(same)[1:]}\n"
        plain = [""] * len(lines) if around else [_plain_line(fields, end) for fields in lines]
        text = "".join(plain)
        if not all(plain) or _may_hold_a_secret(text, len(lines)):
            text = "".join(
                line if line and not _may_hold_a_secret(line, 1) else _line_of({**around, **fields, **same})
                for line, fields in zip(plain, lines, strict=True)
            )
        with self.lock:  # type: ignore[union-attr]  # a handler has one
            self.stream.write(text)
            self.flush()


def _line_of(event: dict[str, Any]) -> str:
    line = _to_json({name: _redacted(name, value, _DEPTH) for name, value in event.items()})
    return f"{line}\n"


def _plain_line(fields: Mapping[str, Any], end: str) -> str:
    """A line with `end` behind its fields; empty where the names of these are to be looked at more closely."""
    if not _are_plain(tuple(fields)):
        return ""
    try:
        return orjson.dumps(fields, default=str)[:-1].decode() + end
    except TypeError:
        return ""


@lru_cache(maxsize=256)
def _are_plain(names: tuple[str, ...]) -> bool:
    return bool(names) and _SAME.isdisjoint(names) and not any(map(_names_a_secret, names))


def _may_hold_a_secret(text: str, lines: int) -> bool:
    """Whether so many lines have a shape without which no secret is, or an object whose names nobody looked at."""
    return "@" in text or " " in text or "eyJ" in text or text.count("{") > lines


def rate_limited(logger_name: str, per_seconds: float) -> None:
    """Let each message template of a logger, its children included, through once per `per_seconds`.

    The line that gets through next carries in `suppressed` how many were held back. To be called after
    `configure_logs`: a filter of a logger is not asked for its children's records, one of a handler is.
    """
    limit = RateLimit(logger_name, per_seconds)
    for handler in logging.getLogger().handlers:
        handler.addFilter(limit)


class RateLimit(logging.Filter):
    """Passes the first record of each template of one logger tree, then one per `per_seconds`."""

    def __init__(
        self,
        logger_name: str,
        per_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Limit the loggers called `logger_name` or `logger_name.…`."""
        super().__init__(logger_name)
        self._per_seconds = per_seconds
        self._clock = clock
        self._lock = threading.Lock()
        # Bounded: a library that formats its messages itself makes a template of each.
        self._passed: OrderedDict[tuple[str, int, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is written."""
        if not super().filter(record):
            return True
        key = (record.name, record.levelno, str(record.msg))
        with self._lock:
            now = self._clock()
            since, held_back = self._passed.get(key, (None, 0))
            if since is not None and now - since < self._per_seconds:
                self._passed[key] = (since, held_back + 1)
                return False
            self._passed[key] = (now, 0)
            self._passed.move_to_end(key)
            if len(self._passed) > _TEMPLATES_KEPT:
                self._passed.popitem(last=False)
        if held_back:
            record.suppressed = held_back
        return True


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Black out what is a secret by its name, and passwords in URLs and tokens wherever they stand."""
    return {name: _redacted(name, value, _DEPTH) for name, value in event.items()}


def _redacted(name: str, value: Any, depth: int) -> Any:  # noqa: ANN401 - log values are of any type
    if value is None or isinstance(value, bool | int | float):
        return value
    if _names_a_secret(name):
        return REDACTED
    if isinstance(value, str):
        return _without_secrets(value)
    if depth and isinstance(value, MutableMapping):
        return {key: _redacted(str(key), inner, depth - 1) for key, inner in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_redacted(name, inner, depth - 1) for inner in value]
    return _without_secrets(str(value))


@lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _without_secrets(text: str) -> str:
    # Every request is a log line: what a pattern cannot match without is looked for first, at a tenth of its cost.
    if "@" in text:
        text = _URL_PASSWORD.sub(rf"\1:{REDACTED}@", text)
    if " " in text:
        text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return _JWT.sub(REDACTED, text) if "eyJ" in text else text


def _shared_processors(service: str) -> list[Processor]:
    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        add_service,
    ]


def _renderer(*, on_terminal: bool) -> Processor:
    if on_terminal:
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer(serializer=_to_json)


def _to_json(event: object, **_options: object) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:
        # orjson refuses lone surrogates and very large integers; a log line must never fail.
        return json.dumps(event, default=str)
