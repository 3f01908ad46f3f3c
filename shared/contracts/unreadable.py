"""Why a record cannot be read: the reasons that parked messages are counted by."""

from enum import StrEnum

from .replies import FieldError


class Unreadable(StrEnum):
    """The reasons; they are labels of metrics and headers of parked messages, so they do not change."""

    NOT_UTF8_HEADER = "not_utf8_header"
    MISSING_ATTRIBUTE = "missing_attribute"
    DOUBLED_ATTRIBUTE = "doubled_attribute"
    WRONG_VERSION = "wrong_version"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    BAD_ATTRIBUTE = "bad_attribute"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_TOPIC = "wrong_topic"
    NULL_VALUE = "null_value"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    INVALID_BODY = "invalid_body"
    KEY_MISMATCH = "key_mismatch"


class UnreadableMessageError(ValueError):
    """A record that is not a message of ours: a reason to count by and a sentence for people."""

    def __init__(self, reason: Unreadable, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class UnreadableEnvelope(UnreadableMessageError):  # noqa: N818 - a fact about the record, see Refused
    """The headers are no CloudEvents envelope, so nobody is known who could be answered."""


class UnreadableBody(UnreadableMessageError):  # noqa: N818 - a fact about the record, see Refused
    """The envelope can be read and the body cannot; `errors` name the fields, for the problem of a CommandRejected."""

    def __init__(self, reason: Unreadable, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(reason, detail)
        self.errors = errors
