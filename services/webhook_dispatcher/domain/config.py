"""How a subscriber wants to be told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from shared.kit.refusals import FieldError, Unprocessable

from .access import Access, Auth, merged_headers


class Scheme(StrEnum):
    """How deliveries are signed, in the names of the Standard Webhooks specification."""

    #: HMAC-SHA256 with the secret that the subscriber has
    V1 = "v1"
    #: Ed25519, besides: the subscriber has the public key alone
    V1A = "v1a"


@dataclass(frozen=True)
class EndpointConfig:
    """How a subscriber wants to be told."""

    #: seconds that events wait before their first attempt, so that more can be packed with them
    delay: float = 0.0
    #: events of one account in one body at most
    max_package_size: int = 1
    #: requests a second; None for no limit
    rate_limit: int | None = None
    #: one account's events one after the other
    ordered: bool = False
    #: seconds for an attempt; None for the operator's
    timeout: float | None = None
    #: seconds at most between one attempt and the next; None for the operator's
    retry_schedule: Sequence[float] | None = None
    #: `v1` is always among them
    signature: Sequence[Scheme] = (Scheme.V1,)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: Auth | None = None
    #: certificates in PEM that are trusted in place of the public authorities
    ca_bundle: str | None = field(default=None, repr=False)

    @property
    def access(self) -> Access | None:
        """What its endpoint is approached with; None where a plain request does."""
        wanted = Access(self.headers, self.auth, self.ca_bundle)
        return wanted if wanted != Access() else None


_USUAL: Final = EndpointConfig()


def config_after(before: EndpointConfig, patch: Mapping[str, Any] | None) -> EndpointConfig:
    """Give the configuration after a merge patch (RFC 7396): None resets a field, or all of it, to its default.

    Headers are merged by their names as well.
    """
    if patch is None:
        return _USUAL
    changes = {name: getattr(_USUAL, name) if value is None else value for name, value in patch.items()}
    if patch.get("headers") is not None:
        changes["headers"] = merged_headers(before.headers, patch["headers"])
    return replace(before, **changes)


class ScheduleNotAllowed(Unprocessable):
    """The retry schedule is not within what the operator allows."""


@dataclass(frozen=True)
class ScheduleBounds:
    """What the operator allows in the retry schedule of a subscription."""

    #: waits, each before one more attempt
    most: int = 20
    #: seconds that each wait lasts at least
    shortest: float = 1.0
    #: seconds that all waits last at most, together
    longest: float = 7 * 24 * 3600.0

    def check(self, schedule: Sequence[float] | None) -> None:
        """Refuse a schedule that lies outside; raises ScheduleNotAllowed."""
        if schedule is None:
            return
        fault = next(self._faults_of(schedule), None)
        if fault is not None:
            raise ScheduleNotAllowed(errors=[FieldError("body.config.retry_schedule", fault)])

    def _faults_of(self, schedule: Sequence[float]) -> Iterator[str]:
        if len(schedule) > self.most:
            yield f"has more than {self.most} waits"
        if min(schedule) < self.shortest:
            yield f"has a wait of less than {self.shortest:g} seconds"
        if sum(schedule) > self.longest:
            yield f"lasts longer than {self.longest:g} seconds in all"
