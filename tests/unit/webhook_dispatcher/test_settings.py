"""What the environment decides for the dispatcher."""

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from services.webhook_dispatcher.domain import STANDARD_SCHEDULE
from services.webhook_dispatcher.settings import Settings
from shared.kit.secrets import new_sealing_key

NEEDED = {
    "PORTFOLIO_BUS_DATABASE_URL": "postgresql://u:p@db/webhooks",
    "PORTFOLIO_BUS_KAFKA": "kafka:9092",
    "PORTFOLIO_BUS_ISSUER_URL": "http://config:8000",
    "PORTFOLIO_BUS_SECRET_KEYS": new_sealing_key(),
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_lists_are_read_from_commas(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PORTFOLIO_BUS_DELIVER_TO", "127.0.0.0/8, ::1/128")
    environment.setenv("PORTFOLIO_BUS_RETRY_SCHEDULE", "0.5, 60")
    environment.setenv("PORTFOLIO_BUS_DELIVER_TO_PORTS", "443, 8000-8999")
    settings = Settings()

    assert settings.deliver_to == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert settings.address_rule.ports == ((443, 443), (8000, 8999))
    assert settings.retry_schedule == (0.5, 60.0)


def test_the_defaults_are_the_specifications(environment: pytest.MonkeyPatch) -> None:
    del environment
    settings = Settings()

    assert settings.retry_schedule == STANDARD_SCHEDULE
    assert settings.deliver_to == ()
    assert [port for port in (22, 25, 80, 443, 1023, 1024, 65_535) if settings.address_rule.permits_port(port)] == [
        80,
        443,
        1024,
        65_535,
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DELIVER_TO", "127.0.0.1/8"),
        ("DELIVER_TO", "everywhere"),
        ("DELIVER_TO_PORTS", ""),
        ("DELIVER_TO_PORTS", "0"),
        ("DELIVER_TO_PORTS", "65536"),
        ("DELIVER_TO_PORTS", "https"),
        ("SUBSCRIPTION_RETRIES", "0"),
        ("RETRY_SCHEDULE", "soon"),
        ("RETRY_SCHEDULE", "-1"),
        ("RETRY_SCHEDULE", "inf"),
        ("LEASE_SECONDS", "16"),
        ("DELIVERIES_PER_ENDPOINT", "0"),
    ],
)
def test_what_makes_no_sense_is_refused(environment: pytest.MonkeyPatch, variable: str, value: str) -> None:
    environment.setenv(f"PORTFOLIO_BUS_{variable}", value)
    with pytest.raises(ValidationError):
        Settings()
