"""Keys that stand twice in one JSON object: readers differ in which of the values they take, so nobody should send any.

RFC 8259 (section 4) leaves open what such an object means; I-JSON (RFC 7493) forbids it.
"""

import json
from typing import Any, Final

Location = tuple[str | int, ...]


class _KeyRepeatedError(Exception):
    """Ends the reading at the first repetition."""


class _Pairs(list[tuple[str, Any]]):
    """An object with all that stands in it."""


def _refuse_repetition(pairs: list[tuple[str, Any]]) -> None:
    # Nothing is handed on: an object that is sound need not be kept.
    if len(dict(pairs)) < len(pairs):
        raise _KeyRepeatedError


# Numbers are passed over: turning thousands of digits into an int takes its time, and is refused above some number.
_LOOKING: Final = json.JSONDecoder(object_pairs_hook=_refuse_repetition, parse_int=len, parse_float=len)
_KEEPING: Final = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=len, parse_float=len)


def repeated_key(raw: bytes) -> Location | None:
    """Say where in `raw` a key stands for the second time in its object; None if none does, or if it is no JSON."""
    try:
        text = raw.decode()
        _LOOKING.decode(text)
    except _KeyRepeatedError:
        return _first_repetition(_KEEPING.decode(text))
    except (ValueError, RecursionError):
        return None  # whoever reads it in earnest says what is wrong with it
    return None


def _first_repetition(value: object) -> Location | None:
    if isinstance(value, _Pairs):
        seen = set[str]()
        for name, _ in value:
            if name in seen:
                return (name,)
            seen.add(name)
    children = value if isinstance(value, _Pairs) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in children:
        found = _first_repetition(inner)
        if found is not None:
            return (step, *found)
    return None
