"""One JSON object per line, everybody's lines included, and no secret in any of them."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from shared.kit.logs import RateLimit, configure_logs, get_logger, log_all


class Lines(io.StringIO):
    def read_all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = Lines()
    configure_logs("order_service", "INFO", stream=stream)
    yield stream
    root.handlers[:], _ = before
    root.setLevel(before[1])
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_a_line_says_what_when_where_and_for_which_request(lines: Lines) -> None:
    with bound_contextvars(request_id="r-1"):
        get_logger("shared.kit.relay").info("published", events=3)
    (line,) = lines.read_all()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "published",
        "events": 3,
        "level": "info",
        "logger": "shared.kit.relay",
        "request_id": "r-1",
        "service": "order_service",
    }


@pytest.mark.parametrize("around", [{}, {"request_id": "r-1"}])
def test_many_lines_written_at_once_are_those_that_one_by_one_would_be_written(
    lines: Lines, around: dict[str, str]
) -> None:
    told: list[dict[str, Any]] = [
        {"id": UUID(int=1), "number": 1, "error": None, "ms": 0.5},
        {"id": UUID(int=2), "number": 2, "error": "https://me:hunter2@example.com answered Bearer abcdefgh12345"},
        {"signing_secret": "whsec_abc", "inner": {"password": "x", "name": "y"}},
        {"error": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.abc"},
        {"inner": {"password": "x"}},
        {"number": 2**70, "error": "\ud800"},
        {"service": "another's", "logger": "another's"},
        {},
    ]
    with bound_contextvars(**around):
        for fields in told:
            structlog.get_logger("delivery").info("attempt", **fields)
            log_all("delivery", "attempt", [fields])
        log_all("delivery", "attempt", told)
        log_all("delivery", "attempt", [{"number": number} for number in range(3)])
    written = lines.read_all()
    assert all(line.pop("timestamp").endswith("Z") for line in written)
    assert [each.get("number") for each in written[-3:]] == [0, 1, 2]
    one_by_one, alone, together = written[0:16:2], written[1:16:2], written[16:24]
    assert one_by_one == alone == together
    assert not any(secret in lines.getvalue() for secret in ("hunter2", "abcdefgh12345", "whsec_", "eyJ"))


def test_many_lines_below_the_level_are_left_out(lines: Lines) -> None:
    logging.getLogger().setLevel("WARNING")
    log_all("delivery", "attempt", [{"number": 1}])
    assert lines.read_all() == []


def test_the_standard_librarys_lines_come_along(lines: Lines) -> None:
    with bound_contextvars(request_id="r-1"):
        logging.getLogger("uvicorn.error").warning("port %d is taken", 80)
    (line,) = lines.read_all()
    assert (line["event"], line["level"], line["request_id"]) == ("port 80 is taken", "warning", "r-1")


def test_lines_below_the_level_are_left_out(lines: Lines) -> None:
    get_logger("x").debug("no")
    logging.getLogger("x").debug("no")
    assert lines.read_all() == []


def test_an_exception_comes_with_its_traceback_on_the_same_line(lines: Lines) -> None:
    try:
        int("x")
    except ValueError:
        get_logger("x").exception("failed")
    (line,) = lines.read_all()
    assert "Traceback" in line["exception"]
    assert line["level"] == "error"


def test_secrets_are_blacked_out_by_name_at_any_depth(lines: Lines) -> None:
    get_logger("x").info(
        "made",
        client_secret="hunter2",
        Authorization="hunter2",
        database_url="hunter2",
        settings={"password": "hunter2", "inner": [{"access_token": "hunter2"}]},
        tokens=["hunter2"],
        token_count=2,
        deep={"a": {"b": {"secret": "hunter2"}}},
    )
    (line,) = lines.read_all()
    assert line["client_secret"] == "[redacted]"
    assert line["token_count"] == 2
    assert "hunter2" not in json.dumps(line)


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://user:hunter2@db/orders",
        "postgresql+asyncpg://:hunter2@db",
        "Authorization: Bearer hunter2hunter2",
        "Basic hunter2hunter2==",
        "token eyJhbGciOi.hunter2.hunter2 refused",
    ],
)
def test_secrets_are_blacked_out_by_shape_in_texts_and_tracebacks(lines: Lines, text: str) -> None:
    def fail() -> None:
        raise RuntimeError(text)

    try:
        fail()
    except RuntimeError as fault:
        get_logger("x").exception(text, fault=fault, said=[text])
        logging.getLogger("x").exception("%s", text)
    assert len(lines.read_all()) == 2
    assert "hunter2" not in lines.getvalue()


def test_what_json_cannot_hold_is_still_logged(lines: Lines) -> None:
    get_logger("x").info("odd", surrogate="\ud800", huge=2**70, thing=object(), raw=b"\xff")
    (line,) = lines.read_all()
    assert line["huge"] == 2**70


def test_a_line_for_people_is_shown_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    root, terminal = logging.getLogger(), Terminal()
    before = root.handlers[:], root.level
    configure_logs("order_service", stream=terminal)
    try:
        int("x")
    except ValueError:
        get_logger("x").exception("failed", secret="hunter2")
    root.handlers[:], _ = before
    root.setLevel(before[1])
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    assert "failed" in terminal.getvalue()
    assert "hunter2" not in terminal.getvalue()


def test_a_library_that_repeats_itself_is_heard_once(lines: Lines) -> None:
    for port in range(100):
        logging.getLogger("aiokafka.conn").error("no broker at %s", port)
    logging.getLogger("aiokafka.conn").error("something else")
    logging.getLogger("aiokafkaesque").error("no broker at %s", 1)
    assert [line["event"] for line in lines.read_all()] == ["no broker at 0", "something else", "no broker at 1"]


def test_the_next_line_counts_those_that_were_held_back() -> None:
    now = 0.0
    limit = RateLimit("aiokafka", 10.0, clock=lambda: now)

    def suppressed(message: str = "no broker") -> int | None:
        record = logging.LogRecord("aiokafka.client", logging.ERROR, __file__, 1, message, (), None)
        return getattr(record, "suppressed", 0) if limit.filter(record) else None

    assert [suppressed(), suppressed(), suppressed()] == [0, None, None]
    now = 10.0
    assert [suppressed(), suppressed()] == [2, None]


def test_the_memory_of_a_limit_is_bounded() -> None:
    limit = RateLimit("aiokafka", 10.0)
    for number in range(2_000):
        limit.filter(logging.LogRecord("aiokafka", logging.ERROR, __file__, 1, f"message {number}", (), None))
    assert len(limit._passed) <= 512
