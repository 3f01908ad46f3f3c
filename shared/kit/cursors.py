"""Cursors: where a page of a list begins, in a text that its caller hands back without looking into it.

A cursor holds the position behind which to go on, and what it is a position in. It opens nothing: a caller may write
one by hand and gets no further than with a filter. So it is not signed, only checked.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from .refusals import FieldError, InvalidRequest

_FINGERPRINT_LENGTH = 12
_ORDERS = {"asc": "asc", "desc": "desc"}
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page: the value of its sort field, and its id where others have the same value."""

    value: Any
    row_id: UUID


def fingerprint_of(parts: Iterable[str]) -> str:
    """Give a short digest of what a list is a list of."""
    whole = json.dumps(list(parts))
    return sha256(whole.encode()).hexdigest()[:_FINGERPRINT_LENGTH]


def cursor_at(position: Position, fingerprint: str, sort: str, order: str) -> str:
    """Write a cursor; the sort field's value is a str, an int, a datetime with its zone, or a UUID."""
    value = position.value
    plain = value.isoformat() if isinstance(value, datetime) else value if isinstance(value, int) else str(value)
    written = json.dumps([fingerprint, sort, order, plain, str(position.row_id)], separators=(",", ":"))
    return base64.urlsafe_b64encode(written.encode()).rstrip(b"=").decode("ascii")


def position_in(cursor: str, fingerprint: str, kinds: Mapping[str, type[Any]]) -> tuple[Position, str, str]:
    """Read a cursor: the position, the sort and the order.

    `kinds` are the fields that the list may be sorted by, with what they hold. Raises InvalidRequest for whatever is
    no cursor of the list.
    """
    try:
        its_list, sort, order, plain, row_id = json.loads(_decoded(cursor))
        order = _ORDERS[order]
        position = Position(_value(plain, kinds[sort]), UUID(row_id))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as fault:
        raise _refusal("is not a cursor of this list") from fault
    if its_list != fingerprint:
        raise _refusal("is of another list or of other filters")
    return position, sort, order


def _decoded(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as fault:
        raise ValueError(cursor) from fault


def _value(plain: Any, kind: type[Any]) -> Any:  # noqa: ANN401 - comes from outside, and is of the kind when it goes
    if kind is int:
        if type(plain) is int and plain in _INT64:
            return plain
        raise ValueError(plain)
    if not isinstance(plain, str):
        raise TypeError(plain)
    if kind is datetime:
        moment = datetime.fromisoformat(plain)
        if moment.tzinfo is None:
            raise ValueError(plain)
        return moment.astimezone(UTC)
    if kind is UUID:
        return UUID(plain)
    # PostgreSQL takes neither NUL nor lone surrogates in a text.
    if "\0" in plain:
        raise ValueError(plain)
    plain.encode()
    return plain


def _refusal(why: str) -> InvalidRequest:
    return InvalidRequest(errors=[FieldError("query.cursor", why)])
