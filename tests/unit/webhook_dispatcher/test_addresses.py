"""Where deliveries may go."""

import re
from contextlib import suppress
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import assume, given, strategies

from services.webhook_dispatcher.domain import LONGEST_URL, URL_PATTERN, AddressNotReached, AddressRule, check_url
from shared.kit.refusals import InvalidRequest

PUBLIC_ONLY = AddressRule()
LOOPBACK_TOO = AddressRule((ip_network("127.0.0.0/8"), ip_network("::1/128")))

FORBIDDEN = [
    "0.0.0.0",  # noqa: S104 -- not bound to
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.1.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.8",
    "192.88.99.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.168.1.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2001:0:7f00:1::",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2001:db8::1",
    "100::1",
    "ff0e::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_what_only_this_machine_can_reach_is_not_dialled(address: str) -> None:
    assert not PUBLIC_ONLY.permits(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_dialled(address: str) -> None:
    assert PUBLIC_ONLY.permits(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_the_operator_may_allow_a_network(address: str) -> None:
    assert LOOPBACK_TOO.permits(address)
    assert not LOOPBACK_TOO.permits("10.0.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?key=1",
        "http://example.com:8080",
        "https://xn--bcher-kva.example/hook",
        "https://1.1.1.1/hook",
        "https://[2606:4700:4700::1111]/hook",
        "https://my_host.example./hook",
    ],
)
def test_a_url_that_can_be_sent_to_is_taken(url: str) -> None:
    check_url(url, PUBLIC_ONLY)
    assert re.fullmatch(URL_PATTERN, url), "the documented pattern says so, too"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "https://user@example.com/",
        "https://user:pw@example.com/",
        "https://@example.com/",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://example.com\\@127.0.0.1/",
        "https://b\u00fccher.example/",
        "https://example.com:99999/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://-.example/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://127.0.1/",
        "http://017700000001/",
        "http://[::ffff:127.0.0.1.]/",
        "http://%31%32%37.0.0.1/",
        "http://127.0.0.1%00.example.com/",
        "http://127.0.0.1./",
        "http://host.1st/",
        "https://example.com/" + "x" * 2048,
    ],
)
def test_a_url_that_shows_its_fault_is_refused_by_naming_the_field(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, PUBLIC_ONLY)

    assert [error.location for error in refused.value.errors] == ["body.url"]
    assert len(url) > LONGEST_URL or not re.fullmatch(URL_PATTERN, url), "the documented pattern says so, too"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://LOCALHOST:9/",
        "http://a.localhost./",
        "http://127.0.0.1/",
        "http://[::ffff:7f00:1]/",
        "http://[fe80::1%25eth0]/",
    ],
)
def test_a_url_that_leads_to_this_machine_is_understood_and_refused(url: str) -> None:
    with pytest.raises(AddressNotReached) as refused:
        check_url(url, PUBLIC_ONLY)

    assert [error.location for error in refused.value.errors] == ["body.url"]


@pytest.mark.parametrize("url", ["http://example.com:22/", "https://example.com:1023/", "http://1.1.1.1:25/hook"])
def test_a_port_outside_of_the_operators_list_is_understood_and_refused(url: str) -> None:
    with pytest.raises(AddressNotReached) as refused:
        check_url(url, PUBLIC_ONLY)

    assert [error.location for error in refused.value.errors] == ["body.url"]
    check_url(url, AddressRule(ports=((1, 65_535),)))


def test_the_usual_port_of_a_scheme_counts_where_none_is_named() -> None:
    secure = AddressRule(ports=((443, 443),))
    check_url("https://example.com/", secure)
    with pytest.raises(AddressNotReached):
        check_url("http://example.com/", secure)


@given(strategies.from_regex(URL_PATTERN, fullmatch=True))
def test_every_url_of_the_documented_pattern_is_understood(url: str) -> None:
    assume(len(url) <= LONGEST_URL and len(urlsplit(url).hostname or "") <= 253)
    with suppress(AddressNotReached):
        check_url(url, PUBLIC_ONLY)
