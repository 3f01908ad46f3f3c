"""Lists of the ledger: which part of which portfolios is asked for."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from .ledgers import BAD_QUERY, query_refusal
from .metadata import LONGEST_KEY, LONGEST_VALUE

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?")
_METADATA: Final = "metadata."
_MOST_WANTED: Final = 10


@dataclass(frozen=True)
class PortfolioFilter:
    """Which of a ledger's portfolios are wanted: those to which all of this applies."""

    #: made then or later
    since: datetime | None = None
    #: made before then
    before: datetime | None = None
    entity_id: str | None = None
    status_code: str | None = None
    #: key -> value as it stands in the query: it is wanted as text, number, boolean, or one of an array
    metadata: tuple[tuple[str, str], ...] = ()


def metadata_in(query: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Give what the query's parameters `metadata.<key>` ask for; raises LedgerRequestInvalid for what nothing has."""
    wanted = tuple((name.removeprefix(_METADATA), value) for name, value in query if name.startswith(_METADATA))
    if len(wanted) > _MOST_WANTED:
        raise query_refusal("metadata", f"is asked for by at most {_MOST_WANTED} parameters", BAD_QUERY)
    for key, value in wanted:
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise query_refusal(f"{_METADATA}{key[:LONGEST_KEY]}", "is longer than any key or value", BAD_QUERY)
    return wanted


def readings_of(key: str, value: str) -> list[Mapping[str, JsonValue]]:
    """Give the metadata that a parameter may mean: its text or the JSON scalar it spells, alone or in an array."""
    scalars: list[JsonValue] = [value]
    if value in {"true", "false"} or _NUMBER.fullmatch(value):
        scalars.append(json.loads(value))
    return [{key: reading} for scalar in scalars for reading in (scalar, [scalar])]
