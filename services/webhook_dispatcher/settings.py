"""What the environment decides for the dispatcher, besides what it decides for every service."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from shared.kit.settings import SealingSettings

from .domain import STANDARD_SCHEDULE, USUAL_PORTS, AddressRule, ScheduleBounds


def _parts(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: object) -> object:
    parts = _parts(value)
    return [ip_network(part) if isinstance(part, str) else part for part in parts] if isinstance(parts, list) else parts


def _port_ranges(value: object) -> object:
    parts = _parts(value)
    return [_range_in(part) if isinstance(part, str) else part for part in parts] if isinstance(parts, list) else parts


def _range_in(part: str) -> tuple[str, str]:
    first, _, last = part.partition("-")
    return first, last or first


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
Port = Annotated[int, Field(ge=1, le=65_535)]
PortRanges = Annotated[tuple[tuple[Port, Port], ...], NoDecode, BeforeValidator(_port_ranges)]
Seconds = Annotated[float, Field(ge=0, le=7 * 24 * 3600)]
Waits = Annotated[tuple[Seconds, ...], NoDecode, BeforeValidator(_parts)]


class Settings(SealingSettings):
    """The settings of webhook_dispatcher."""

    deliver_to: Networks = Field((), description="networks that deliveries may reach besides the public ones")
    deliver_to_ports: PortRanges = Field(
        USUAL_PORTS,
        min_length=1,
        description="ports that deliveries may reach, and ranges of them, parted by commas",
    )
    retry_schedule: Waits = Field(
        STANDARD_SCHEDULE,
        max_length=50,
        description="seconds at most between one attempt and the next, parted by commas; then the delivery has failed",
    )
    subscription_retries: int = Field(
        20, ge=1, le=50, description="most waits in the retry schedule of a subscription that has its own"
    )
    subscription_retry_shortest: float = Field(
        1.0, ge=0, le=3600, description="seconds that each of its waits lasts at least"
    )
    subscription_retry_longest: float = Field(
        7 * 24 * 3600.0, gt=0, le=30 * 24 * 3600, description="seconds that all of its waits last at most, together"
    )
    attempt_timeout: float = Field(15.0, gt=0, le=120, description="seconds that an endpoint may take to answer")
    lease_seconds: float = Field(
        30.0, gt=0, le=600, description="seconds after which a delivery is taken from a process that has died"
    )
    deliveries_in_flight: int = Field(
        200, ge=1, le=2000, description="most deliveries under way in this process to endpoints that answer quickly"
    )
    deliveries_to_slow_endpoints: int = Field(
        1000, ge=1, le=10000, description="most deliveries under way in this process to all other endpoints together"
    )
    deliveries_per_endpoint: int = Field(
        100, ge=1, le=2000, description="most deliveries under way to one endpoint from this process"
    )
    circuit_failures: int = Field(
        5, ge=1, le=1000, description="failed attempts in a row after which an endpoint is left alone for a while"
    )
    circuit_open_seconds: float = Field(
        10.0, gt=0, le=3600, description="seconds until it is probed; doubled with every probe that fails"
    )
    circuit_longest_seconds: float = Field(600.0, gt=0, le=24 * 3600, description="seconds that they may grow to")
    disable_after_days: float = Field(
        5.0, gt=0, le=365, description="days without a success among failing attempts that switch a subscription off"
    )
    recovered_at_once: int = Field(
        50, ge=1, le=1000, description="most deliveries of one recovery that wait for their first attempt"
    )

    @model_validator(mode="after")
    def _a_lease_outlives_its_attempt(self) -> Self:
        if self.lease_seconds < self.attempt_timeout + 2:
            message = "lease_seconds must be at least attempt_timeout and two seconds"
            raise ValueError(message)
        return self

    @property
    def address_rule(self) -> AddressRule:
        """The addresses that deliveries may be sent to."""
        return AddressRule(self.deliver_to, self.deliver_to_ports)

    @property
    def schedule_bounds(self) -> ScheduleBounds:
        """What subscriptions may have for a retry schedule of their own."""
        return ScheduleBounds(
            self.subscription_retries, self.subscription_retry_shortest, self.subscription_retry_longest
        )
