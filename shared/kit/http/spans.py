"""Spans of time in queries: `start_date` and `end_date`, each a day or a moment."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Query

from shared.contracts import parse_time
from shared.kit.refusals import FieldError, InvalidRequest

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_A_DAY: Final = timedelta(days=1)
_A_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Span:
    """From when on, and before when; None is without bound."""

    since: datetime | None = None
    before: datetime | None = None


def _asked(meaning: str) -> Any:  # noqa: ANN401 - what FastAPI's Query gives
    return Query(
        description=f"only what was made on this day (of UTC) or at this time, or {meaning}",
        max_length=64,
        json_schema_extra={"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]},
        examples=["2026-01-31", "2026-01-31T12:00:00Z"],
    )


async def span_asked(
    start_date: Annotated[str | None, _asked("later")] = None,
    end_date: Annotated[str | None, _asked("earlier")] = None,
) -> Span:
    """Read the span that a list is narrowed down to; both ends are within it.

    Raises InvalidRequest for what is neither a day nor an RFC 3339 time with an offset.
    """
    start, end = _moment("start_date", start_date), _moment("end_date", end_date)
    return Span(start[0] if start else None, _end_of(*end) if end else None)


def _moment(name: str, text: str | None) -> tuple[datetime, timedelta] | None:
    """Give the first moment that is meant, and how long what is meant lasts."""
    if text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC), _A_DAY
        return parse_time(text), _A_MOMENT
    except ValueError as fault:
        message = "must be a day such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z"
        raise InvalidRequest(errors=[FieldError(f"query.{name}", message)]) from fault


def _end_of(first: datetime, lasts: timedelta) -> datetime | None:
    try:
        return first + lasts
    except OverflowError:
        return None  # the last day that there is: everything comes before its end
