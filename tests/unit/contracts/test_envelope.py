"""The envelope goes into headers and comes back; what is no envelope is refused with the reason and the header."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import Envelope, Unreadable, UnreadableEnvelope, read_envelope, to_headers

GOOD: dict[str, bytes] = {
    "ce_specversion": b"1.0",
    "content-type": b"application/json",
    "ce_id": b"4711",
    "ce_type": b"OrderPlaced",
    "ce_source": b"/order_service",
    "ce_time": b"2026-01-31T12:00:00.250000Z",
    "ce_clientid": b"01998b6e-7c00-7a10-8f00-0000000000f1",
}


def _words(longest: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=longest)


envelopes = st.builds(
    Envelope,
    id=_words(128),
    type=_words(128),
    source=_words(256),
    time=st.datetimes(timezones=st.just(UTC)),
    client_id=st.uuids(),
    subject=st.none() | _words(256),
    correlation_id=st.none() | _words(256),
    causation_id=st.none() | _words(256),
    traceparent=st.none() | st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)


def _reason_of(headers: Iterable[tuple[str, bytes | None]]) -> tuple[Unreadable, str]:
    with pytest.raises(UnreadableEnvelope) as refusal:
        read_envelope(headers)
    return refusal.value.reason, refusal.value.detail


def _detail_of(headers: Iterable[tuple[str, bytes | None]]) -> str:
    try:
        read_envelope(headers)
    except UnreadableEnvelope as refusal:
        return refusal.detail
    return ""


@given(envelopes)
def test_an_envelope_comes_back_from_its_headers(envelope: Envelope) -> None:
    assert read_envelope(to_headers(envelope)) == envelope


@given(envelopes, st.randoms())
def test_the_order_of_headers_means_nothing(envelope: Envelope, random: Any) -> None:
    headers = to_headers(envelope)
    random.shuffle(headers)

    assert read_envelope(headers) == envelope


@given(st.lists(st.tuples(st.text() | st.sampled_from(sorted(GOOD)), st.none() | st.binary())))
def test_any_headers_are_read_or_refused_with_a_reason(headers: list[tuple[str, bytes | None]]) -> None:
    for tried in (headers, [*GOOD.items(), *headers]):
        assert _detail_of(tried).isprintable()


def test_headers_that_are_not_ours_are_ignored() -> None:
    more = [("x-b3-traceid", b"1"), ("x-b3-traceid", b"2"), ("ce_dataschema", b""), ("empty", None)]

    assert read_envelope([*GOOD.items(), *more]) == read_envelope(GOOD.items())


def test_what_is_read_is_typed() -> None:
    envelope = read_envelope(GOOD.items())

    assert envelope.client_id == UUID("01998b6e-7c00-7a10-8f00-0000000000f1")
    assert envelope.time == datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
    assert envelope.correlation_id is None


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_attribute_is_named(name: str) -> None:
    headers = [(header, value) for header, value in GOOD.items() if header != name]

    assert _reason_of(headers) == (Unreadable.MISSING_ATTRIBUTE, f"header {name} is missing")


@pytest.mark.parametrize("name", [*sorted(GOOD), "ce_subject", "ce_correlationid", "ce_causationid"])
def test_a_doubled_attribute_is_named(name: str) -> None:
    value = GOOD.get(name, b"x")
    headers = [*((header, kept) for header, kept in GOOD.items() if header != name), (name, value), (name, value)]

    assert _reason_of(headers) == (Unreadable.DOUBLED_ATTRIBUTE, f"header {name} stands there more than once")


@pytest.mark.parametrize("name", [*sorted(GOOD), "ce_subject", "ce_correlationid", "ce_causationid"])
@pytest.mark.parametrize("value", [b"", None])
def test_an_empty_attribute_is_named(name: str, value: bytes | None) -> None:
    reason, detail = _reason_of([*((header, kept) for header, kept in GOOD.items() if header != name), (name, value)])

    assert reason == Unreadable.BAD_ATTRIBUTE
    assert detail == f"header {name} is empty"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ce_specversion", b"0.3", Unreadable.WRONG_VERSION),
        ("ce_specversion", b"1", Unreadable.WRONG_VERSION),
        ("content-type", b"text/plain", Unreadable.WRONG_CONTENT_TYPE),
        ("content-type", b"application/cloudevents+json", Unreadable.WRONG_CONTENT_TYPE),
        ("content-type", b"application/json; charset=latin-1", Unreadable.WRONG_CONTENT_TYPE),
        ("content-type", b"application/jsonp", Unreadable.WRONG_CONTENT_TYPE),
        ("ce_time", b"2026-01-31T12:00:00", Unreadable.BAD_ATTRIBUTE),
        ("ce_time", b"yesterday", Unreadable.BAD_ATTRIBUTE),
        ("ce_time", b"2026-13-31T12:00:00Z", Unreadable.BAD_ATTRIBUTE),
        ("ce_clientid", b"me", Unreadable.BAD_ATTRIBUTE),
        ("ce_clientid", b"{01998b6e-7c00-7a10-8f00-0000000000f1}", Unreadable.BAD_ATTRIBUTE),
        ("ce_id", b"x" * 129, Unreadable.BAD_ATTRIBUTE),
        ("ce_type", b"x" * 129, Unreadable.BAD_ATTRIBUTE),
        ("ce_source", b"x" * 257, Unreadable.BAD_ATTRIBUTE),
        ("ce_subject", b"x" * 257, Unreadable.BAD_ATTRIBUTE),
        ("ce_correlationid", b"x" * 257, Unreadable.BAD_ATTRIBUTE),
        ("ce_clientid", b"x" * 257, Unreadable.BAD_ATTRIBUTE),
        ("ce_id", b"a\x00b", Unreadable.BAD_ATTRIBUTE),
        ("ce_correlationid", b"a\nb", Unreadable.BAD_ATTRIBUTE),
        ("ce_id", b"\xff", Unreadable.NOT_UTF8_HEADER),
        ("traceparent", b"\xff", Unreadable.NOT_UTF8_HEADER),
        ("anything", b"\xff\xfe", Unreadable.NOT_UTF8_HEADER),
    ],
)
def test_a_bad_header_is_named_with_its_reason(name: str, value: bytes, reason: Unreadable) -> None:
    found, detail = _reason_of((GOOD | {name: value}).items())

    assert found == reason
    assert name in detail


def test_a_header_name_that_is_not_utf8_is_refused() -> None:
    reason, detail = _reason_of([*GOOD.items(), ("x-\udcff", b"1")])

    assert reason == Unreadable.NOT_UTF8_HEADER
    assert detail.isascii()


@pytest.mark.parametrize("value", [b"application/json; charset=utf-8", b"Application/JSON;charset=UTF-8"])
def test_a_content_type_may_say_its_charset(value: bytes) -> None:
    assert read_envelope((GOOD | {"content-type": value}).items()).type == "OrderPlaced"


@pytest.mark.parametrize("value", [b"", b"00-zz", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", b"ff" * 900])
def test_a_broken_trace_does_not_stop_a_message(value: bytes) -> None:
    assert read_envelope((GOOD | {"traceparent": value}).items()).traceparent is None


@pytest.mark.parametrize(
    "change", [{"id": ""}, {"source": "a\x00"}, {"correlation_id": ""}, {"traceparent": "?"}, {"subject": "\ud800"}]
)
def test_an_envelope_that_could_not_be_read_back_cannot_be_made(change: dict[str, str]) -> None:
    sound: dict[str, Any] = {
        "id": "1", "type": "T", "source": "/s", "time": datetime.now(UTC), "client_id": UUID(int=1)
    }  # fmt: skip
    with pytest.raises(UnreadableEnvelope):
        Envelope(**(sound | change))


def test_an_envelope_needs_a_time_with_an_offset() -> None:
    naive = datetime(2026, 1, 31)  # noqa: DTZ001 - the point of the test
    with pytest.raises(UnreadableEnvelope, match="offset"):
        Envelope(id="1", type="T", source="/s", time=naive, client_id=UUID(int=1))
