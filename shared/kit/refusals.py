"""Refusals: what was understood and will not be done, because asking again would not help.

Domain rules raise them, and each edge translates them once: to a problem document on HTTP, to a reply or a parked
message on Kafka. Only the standard library is imported here, so that domain modules may use this one.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import ClassVar

#: Every slug of a problem document with its HTTP status and its title.
SLUGS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "invalid_request": (400, "Invalid request"),
        "missing_idempotency_key": (400, "Missing idempotency key"),
        "unauthorised": (401, "Unauthorised"),
        "forbidden": (403, "Forbidden"),
        "not_found": (404, "Not found"),
        "method_not_allowed": (405, "Method not allowed"),
        "not_acceptable": (406, "Not acceptable"),
        "request_timeout": (408, "Request timeout"),
        "conflict": (409, "Conflict"),
        "precondition_failed": (412, "Precondition failed"),
        "payload_too_large": (413, "Payload too large"),
        "unsupported_media_type": (415, "Unsupported media type"),
        "unprocessable_entity": (422, "Unprocessable entity"),
        "too_many_requests": (429, "Too many requests"),
        "header_fields_too_large": (431, "Header fields too large"),
        "internal": (500, "Internal error"),
        "unavailable": (503, "Unavailable"),
    },
)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong: where it stands (`body.allocation_id`, `path.account_id`) and why it is refused."""

    location: str
    message: str


class Refused(Exception):  # noqa: N818 - a refusal is a fact of the domain, not a fault of the program
    """The request was refused."""

    #: Names the kind of refusal; one of `SLUGS`. Subclasses set or inherit it.
    slug: ClassVar[str]
    #: What an API that has codes of its own calls it; stands beside the problem's other members where it is set.
    code: str | None = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Refuse a subclass whose slug is not in the table, when it is defined and not when it is first raised."""
        super().__init_subclass__(**kwargs)
        if getattr(cls, "slug", None) not in SLUGS:
            message = f"{cls.__name__}.slug is not one of the slugs of SLUGS"
            raise TypeError(message)

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        """Say why, in `detail` (the class's docstring unless given), and which fields are wrong.

        `retry_after` is in seconds; it is for refusals that time alone may lift. `code` is the class's unless given.
        """
        self.detail = detail if detail is not None else self._message_of_the_class()
        self.errors = tuple(errors)
        self.retry_after = retry_after
        if code is not None:
            self.code = code
        super().__init__(self.detail)

    @property
    def status(self) -> int:
        """The HTTP status that belongs to the slug."""
        return SLUGS[self.slug][0]

    @property
    def title(self) -> str:
        """The slug in words, the same for every refusal of that slug."""
        return SLUGS[self.slug][1]

    @classmethod
    @cache
    def _message_of_the_class(cls) -> str:
        # Docstrings are gone under `python -OO`; the title is then the best there is.
        return " ".join((inspect.getdoc(cls) or SLUGS[cls.slug][1]).split())


class InvalidRequest(Refused):
    """The request is not valid."""

    slug = "invalid_request"


class Unauthorised(Refused):
    """A valid access token is required."""

    slug = "unauthorised"


class Forbidden(Refused):
    """The access token does not allow this."""

    slug = "forbidden"


class NotFound(Refused):
    """There is no such resource."""

    slug = "not_found"


class Conflict(Refused):
    """The resource's present state does not allow this."""

    slug = "conflict"


class PreconditionFailed(Refused):
    """The resource has changed since the revision named in If-Match."""

    slug = "precondition_failed"


def refuse_unless_current(expected: int | None, revision: int) -> None:
    """Refuse to change a resource that has moved on; `revision` is that of its locked row.

    `expected` is the revision that the caller has in mind, None if any will do. Raises PreconditionFailed.
    """
    if expected is not None and expected != revision:
        raise PreconditionFailed


class Unprocessable(Refused):
    """The request is well formed but cannot be carried out."""

    slug = "unprocessable_entity"


class TooManyRequests(Refused):
    """Too many requests; try again later."""

    slug = "too_many_requests"


class Unavailable(Refused):
    """The service cannot answer this at the moment; try again soon."""

    slug = "unavailable"


def problem(
    slug: str,
    detail: str,
    *,
    instance: str | None = None,
    request_id: str | None = None,
    code: str | None = None,
    errors: Sequence[FieldError] = (),
) -> dict[str, object]:
    """Give the problem document of RFC 9457 for one of `SLUGS`; what is None or empty is left out."""
    status, title = SLUGS[slug]
    document: dict[str, object] = {"type": f"/problems/{slug}", "title": title, "status": status, "detail": detail}
    if instance is not None:
        document["instance"] = instance
    if request_id is not None:
        document["request_id"] = request_id
    if code is not None:
        document["code"] = code
    if errors:
        document["errors"] = [{"location": error.location, "message": error.message} for error in errors]
    return document


def problem_of(
    refused: Refused,
    *,
    instance: str | None = None,
    request_id: str | None = None,
) -> dict[str, object]:
    """Give a refusal's problem document, the same on HTTP and in a CommandRejected."""
    return problem(
        refused.slug,
        refused.detail,
        instance=instance,
        request_id=request_id,
        code=refused.code,
        errors=refused.errors,
    )
