"""Builders of messages and of the bytes that they travel as."""

import json
from typing import Any

from shared.contracts import MESSAGES
from shared.contracts.export import SAMPLES


def a_body(name: str, **changes: Any) -> dict[str, Any]:
    """Give the body of the golden sample of a message, with changes."""
    body: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))["body"]
    return body | changes


def the_topic(name: str) -> str:
    """Give the name of the topic on which a message travels."""
    return MESSAGES[name].topic.name


def raw(body: object) -> bytes:
    """Give a body as it travels."""
    return json.dumps(body).encode()
