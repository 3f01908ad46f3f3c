"""What a list of ledger portfolios is asked for."""

import pytest

from services.config_service.domain import LedgerRequestInvalid, metadata_in, readings_of


def test_parameters_for_metadata_are_found_by_their_prefix() -> None:
    query = [("limit", "1"), ("metadata.a.b", "x=y"), ("metadata", "no"), ("metadata.", ""), ("metadata.a.b", "2")]
    assert metadata_in(query) == (("a.b", "x=y"), ("", ""), ("a.b", "2"))


@pytest.mark.parametrize(
    "query",
    [
        [(f"metadata.{'k' * 101}", "v")],
        [("metadata.k", "v" * 2001)],
        [(f"metadata.{number}", "v") for number in range(11)],
    ],
)
def test_parameters_for_metadata_that_nothing_could_have_are_refused(query: list[tuple[str, str]]) -> None:
    with pytest.raises(LedgerRequestInvalid) as refused:
        metadata_in(query)
    assert refused.value.code == "0082"


@pytest.mark.parametrize(
    ("value", "scalars"),
    [
        ("USD", ["USD"]),
        ("true", ["true", True]),
        ("-1.50", ["-1.50", -1.5]),
        ("007", ["007"]),
        ("1e3", ["1e3"]),
        ("", [""]),
    ],
)
def test_a_value_is_looked_for_as_text_and_as_what_it_spells_alone_and_in_arrays(
    value: str, scalars: list[object]
) -> None:
    wanted = [{"k": reading} for scalar in scalars for reading in (scalar, [scalar])]
    assert readings_of("k", value) == wanted
