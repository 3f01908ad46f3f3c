"""A key that stands twice in one object is found, wherever it stands and however it is written."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.json_keys import repeated_key

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b'{"a": 1, "a": 2}', ("a",)),
        (b'{"a": 1, "\\u0061": 2}', ("a",)),
        (b'{"a": [{"b": 1}, {"c": {"d": 1, "d": 1}}]}', ("a", 1, "c", "d")),
        (b'[{}, {"": 1, "": 1}]', (1, "")),
        (b'{"a": {"a": 1}, "b": {"a": 1}}', None),
        (b'{"a": "\\"a\\": 1, \\"a\\": 2"}', None),
        (b'{"a": ' + b"9" * 5000 + b"}", None),
        (b'{"a": NaN}', None),
        (b"{", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000, None),
    ],
    ids=range(12),
)
def test_it_is_found_in_its_place(raw: bytes, where: tuple[str | int, ...] | None) -> None:
    assert repeated_key(raw) == where


@given(JSON)
def test_nothing_is_found_in_what_was_written_from_objects(value: object) -> None:
    assert repeated_key(json.dumps(value).encode()) is None


@given(st.dictionaries(st.text(), JSON, min_size=1), st.data())
def test_whatever_is_doubled_is_found(value: dict[str, object], data: st.DataObject) -> None:
    doubled = data.draw(st.sampled_from(sorted(value)))
    raw = json.dumps(value)[:-1] + f", {json.dumps(doubled)}: null}}"
    assert repeated_key(raw.encode()) == (doubled,)


def test_a_mebibyte_is_looked_through_in_milliseconds() -> None:
    raw = json.dumps([{"a": 1, "b": "x"} for _ in range(50_000)]).encode()
    began = time.process_time()
    assert repeated_key(raw) is None
    assert time.process_time() - began < 0.5
