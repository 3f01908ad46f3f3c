"""What bad input comes, and how each is answered: over HTTP by all services, and as a command on Kafka.

The table of `docs/input.md` is made from these cases, and the tests send them.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from .estates import Estate

Text = Callable[[Estate], str | bytes]


@dataclass(frozen=True)
class Expected:
    """A status, and the field that is at fault where one is named; a status below 400 means that it is taken."""

    status: int
    field: str | None = None

    @property
    def at_fault(self) -> bool:
        """Whether it is refused."""
        return self.status >= 400

    def __str__(self) -> str:
        if not self.at_fault:
            return f"taken ({self.status})"
        return f"{self.status}" + (f", names `{self.field}`" if self.field else "")


@dataclass(frozen=True)
class Case:
    """One input."""

    about: str
    what: str
    service: str
    method: str
    path: Text
    answer: Expected
    body: Text | None = None
    headers: dict[str, str] = field(default_factory=dict)
    #: the command that has the same body, with what becomes of it; None where there is no such command
    command: str | None = None
    on_the_bus: Expected | None = None

    def __str__(self) -> str:
        return f"{self.about}: {self.what}"


ORDER, LINK, ACCOUNT = "/portfolios/orders", "/portfolios/configurations", "/accounts"
ALLOCATION, HOOK = "/portfolios/allocations", "/webhooks"
_GOOD = {"cash_amount": '"100.00"', "currency": '"EUR"', "side": '"BUY"'}


def _same(text: str | bytes) -> Text:
    """The same text for everybody."""
    return lambda _: text


def _object(fields: dict[str, str]) -> str:
    """A JSON object of values that are JSON already."""
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


def _order(**changed: str) -> Text:
    def text(estate: Estate) -> str:
        return _object({"user_id": f'"{uuid4()}"', "account_id": f'"{estate.account_id}"', **_GOOD, **changed})

    return text


def _an_order(about: str, what: str, expected: Expected, body: Text) -> Case:
    on_the_bus = Expected(200) if expected.status == 201 else expected
    return Case(
        about, what, "order_service", "POST", _same(ORDER), expected, body, command="PlaceOrder",
        on_the_bus=on_the_bus,
    )  # fmt: skip


def _amounts() -> Iterator[Case]:
    about, wrong = "decimals", Expected(400, "cash_amount")
    for what, literal in (
        ("an exponent", '"1e2"'),
        ("a negative exponent", '"1E-2"'),
        ("`NaN` in a string", '"NaN"'),
        ("`Infinity` in a string", '"Infinity"'),
        ("`-Infinity` in a string", '"-Infinity"'),
        ("400 digits", f'"{"9" * 400}"'),
        ("19 digits before the point", f'"1{"0" * 18}"'),
        ("zero", '"0.00"'),
        ("negative zero", '"-0.00"'),
        ("below zero", '"-1"'),
        ("a JSON number", "100.5"),
        ("a space, an underscore", '" 1_000"'),
        ("digits of another script", '"\u0661\u0660\u0660"'),
        ("nothing", '""'),
        ("null", "null"),
    ):
        yield _an_order(about, what, wrong, _order(cash_amount=literal))
    yield _an_order(about, "`NaN` bare, which is no JSON value", Expected(400), _order(cash_amount="NaN"))
    too_fine = Expected(422, "cash_amount")
    yield _an_order(about, "more decimals than the currency has", too_fine, _order(cash_amount='"100.001"'))
    finer = _order(cash_amount='"100.5"', currency='"JPY"')
    yield _an_order(about, "decimals of a currency without any", too_fine, finer)
    for what, literal in (
        ("a counter as a string", '"1"'),
        ("a counter with a fraction", "1.5"),
        ("a counter below 1", "0"),
        ("a counter beyond 64 bits", "9223372036854775808"),
        ("a counter of 5,000 digits", "1" + "0" * 5000),
        ("a counter as `true`", "true"),
    ):
        expected = Expected(400, "configuration_version") if len(literal) < 100 else Expected(400)
        yield _an_order("counters", what, expected, _order(configuration_version=literal))


def _texts() -> Iterator[Case]:
    about = "text"
    for what, literal, expected in (
        ("the character NUL, escaped", '"a\\u0000b"', Expected(400, "client_reference")),
        ("a lone surrogate, escaped", '"\\ud800"', Expected(400)),
        ("characters of 4 bytes", '"\U0001f642\\ud83d\\ude42"', Expected(201)),
        ("more characters than the field has", f'"{"x" * 257}"', Expected(400, "client_reference")),
        ("a number where text belongs", "5", Expected(400, "client_reference")),
    ):
        yield _an_order(about, what, expected, _order(client_reference=literal))

    def raw(inserted: bytes) -> Text:
        return lambda estate: str(_order(client_reference='"@"')(estate)).encode().replace(b"@", inserted)

    yield _an_order(about, "the character NUL, as it is", Expected(400), raw(b"a\x00b"))
    yield _an_order(about, "bytes that are not UTF-8", Expected(400), raw(b"\xff\xfe"))


def _ids() -> Iterator[Case]:
    about = "ids"
    for what, spelled in (
        ("in upper case", lambda id_: id_.upper()),
        ("in braces", lambda id_: f"{{{id_}}}"),
        ("as `urn:uuid:`", lambda id_: f"urn:uuid:{id_}"),
        ("without hyphens", lambda id_: UUID(id_).hex),
    ):

        def body(estate: Estate, spelled: Callable[[str], str] = spelled) -> str:
            return str(_order(account_id=f'"{spelled(estate.account_id)}"')(estate))

        yield _an_order(about, what, Expected(201), body)

        def path(estate: Estate, spelled: Callable[[str], str] = spelled) -> str:
            return f"{ACCOUNT}/{spelled(estate.account_id).replace('{', '%7B').replace('}', '%7D')}"

        yield Case(f"{about} in paths", what, "config_service", "GET", path, Expected(200))
    no_uuid = "1aff8f71-3b46-4d54-b7b6-2e2c6d5e1a9g"
    yield _an_order(about, "no UUID", Expected(400, "account_id"), _order(account_id=f'"{no_uuid}"'))
    for what, raw, at_fault in (
        ("no UUID", no_uuid, "path.account_id"),
        ("the character NUL", "%00", "path"),
        ("bytes that are not UTF-8", "%ff", "path"),
        ("a lone surrogate", "%ED%A0%80", "path"),
    ):
        yield _read(f"{about} in paths", what, f"{ACCOUNT}/{raw}", Expected(400, at_fault))


def _read(about: str, what: str, path: str, expected: Expected, service: str = "config_service") -> Case:
    return Case(about, what, service, "GET", lambda _: path, expected)


def _documents() -> Iterator[Case]:
    about = "JSON"

    def twice(key: str) -> Text:
        return lambda estate: str(_order()(estate)).replace('"side"', f'"{key}": "1.00", "side"')

    yield _an_order(about, "a key that stands twice", Expected(400, "cash_amount"), twice("cash_amount"))
    yield _an_order(about, "the same, once escaped", Expected(400, "cash_amount"), twice("c\\u0061sh_amount"))
    yield _an_order(about, "a key that is not known", Expected(400, "colour"), _order(colour='"red"'))
    for what, text in (
        ("100,000 arrays in each other", "[" * 100_000),
        ("50,000 objects in each other", '{"user_id":' * 50_000),
        ("nesting that is closed again", "[" * 50_000 + "]" * 50_000),
        ("nothing at all", ""),
        ("`null`", "null"),
        ("an array", "[]"),
        ("single quotes", "{'side': 'BUY'}"),
        ("a byte order mark", "\ufeff{}"),
    ):
        yield _an_order(about, what, Expected(400), _same(text))


def _allocations() -> Iterator[Case]:
    def made(*items: dict[str, str]) -> Text:
        usual = {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}
        return lambda _: json.dumps({"allocation": [usual | item for item in items]})

    def one(about: str, what: str, expected: Expected, *items: dict[str, str]) -> Case:
        return Case(about, what, "config_service", "POST", _same(ALLOCATION), expected, made(*items))

    isins = [{"instrument_id": isin} for isin in ("US0378331005", "US5949181045", "US02079K3059")]
    thirds = [isin | {"weight": "0.3333333333333333"} for isin in isins]
    sevenths = [isin | {"weight": weight} for isin, weight in zip(isins, ("0.7", "0.1", "0.2"), strict=True)]
    yield one("weights", "a sum of 1 in binary only", Expected(400, "body.allocation"), *thirds)
    yield one("weights", "a sum of 1 in decimal only", Expected(201), *sevenths)
    weight = Expected(400, "body.allocation.0.weight")
    for what, text in (
        ("an exponent", "1e0"),
        ("zero", "0"),
        ("negative zero", "-0"),
        ("19 decimals", "0." + "0" * 18 + "1"),
    ):
        yield one("weights", what, weight, {"weight": text})
    instrument = Expected(400, "body.allocation.0.instrument_id")
    for what, text in (
        ("a wrong check digit", "US0378331006"),
        ("lower case", "us0378331005"),
        ("too short", "US037833100"),
        (
            "letters and digits of another width",
            "\uff35\uff33\uff10\uff13\uff17\uff18\uff13\uff13\uff11\uff10\uff10\uff15",
        ),
        ("the character NUL", "US0378331\x005"),
    ):
        yield one("ISINs", what, instrument, {"instrument_id": text})


def _queries() -> Iterator[Case]:
    for service, path in (("config_service", ALLOCATION), ("order_service", ORDER)):
        for what, text in (
            ("a time without a zone", "2026-01-31T12:00:00"),
            ("a day that there is not", "2026-02-30"),
            ("a time that there is not", "2026-01-31T25:00:00Z"),
            ("before the first year, in UTC", "0001-01-01T00:00:00%2B14:00"),
            ("after the last year, in UTC", "9999-12-31T23:59:59-14:00"),
            ("seconds since 1970", "1700000000"),
            ("a plus that was not escaped", "2026-01-31T12:00:00+01:00"),
            ("digits of another script", "%D9%A2%D9%A0%D9%A2%D9%A6-01-31"),
        ):
            yield _read("dates", what, f"{path}?start_date={text}", Expected(400, "query.start_date"), service)
    about = "queries"
    for what, text, at_fault in (
        ("the character NUL", "allocation_id=%00", "query"),
        ("bytes that are not UTF-8", "allocation_id=%ff", "query"),
        ("an id that is no UUID", "allocation_id=x", "query.allocation_id"),
        ("a limit of 0", "limit=0", "query.limit"),
        ("a limit above 1,000", "limit=1001", "query.limit"),
        ("a limit of 400 digits", f"limit={'9' * 400}", "query.limit"),
        ("a cursor that is none", "cursor=x", "query.cursor"),
        ("a field that there is no sorting by", "sort=client_id", "query.sort"),
        ("10,000 parameters", "&".join(["a=1"] * 10_000), "query"),
    ):
        yield _read(about, what, f"{LINK}?{text}", Expected(400, at_fault))


def _requests() -> Iterator[Case]:
    about = "requests"
    key = {"Idempotency-Key": "1"}
    for service, path in (("config_service", ACCOUNT), ("order_service", ORDER), ("webhook_dispatcher", HOOK)):
        at = _same(path)
        for what, status, body, headers in (
            ("a body above 1 MiB", 413, " " * 1_100_000, {}),
            ("a body of another kind", 415, "a=b", {"Content-Type": "text/plain"}),
            ("a compressed body", 415, b"\x1f\x8b", {"Content-Encoding": "gzip"}),
        ):
            yield Case(about, what, service, "POST", at, Expected(status), _same(body), headers)
        refused = Expected(400, "header.idempotency-key")
        yield Case(about, "an Idempotency-Key that is no UUID", service, "POST", at, refused, _same("{}"), key)
        flood = {f"x-{number}": "x" * 4000 for number in range(10)}
        yield Case(about, "40 KB of headers", service, "GET", at, Expected(431), headers=flood)
        html = {"Accept": "text/html"}
        yield Case(about, "an Accept header without JSON", service, "GET", at, Expected(406), headers=html)
        yield Case(about, "a method that the path does not know", service, "PUT", at, Expected(405))


def all_cases() -> list[Case]:
    parts = (_amounts, _texts, _ids, _documents, _allocations, _queries, _requests)
    return [case for part in parts for case in part()]


#: Envelopes that are wrong, so that nobody is known who could be answered: what is changed, and why it is parked.
PARKED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("a time without a zone", {"ce_time": b"2026-01-31T12:00:00"}, "bad_attribute"),
    ("an id with the character NUL", {"ce_id": b"a\x00b"}, "bad_attribute"),
    ("a client that is no UUID", {"ce_clientid": b"nobody"}, "bad_attribute"),
    ("a client in braces", {"ce_clientid": f"{{{uuid4()}}}".encode()}, "bad_attribute"),
    ("bytes that are not UTF-8", {"ce_source": b"\xff"}, "not_utf8_header"),
    ("no type", {"ce_type": None}, "missing_attribute"),
    ("a type that there is not", {"ce_type": b"BuyEverything"}, "unknown_type"),
)
