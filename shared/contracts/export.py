"""Writes the JSON Schema of every message to `schemas/`: `python -m shared.contracts.export`.

The files are the contract as it was released. Golden samples are written by hand and never by this program: they show
that what was once sent can still be read.
"""

import json
from pathlib import Path
from typing import Any, Final

from .base import Command, Message
from .catalogue import MESSAGES

SCHEMAS: Final = Path(__file__).parent / "schemas"
SAMPLES: Final = Path(__file__).parent / "samples"


def schema_of(message: type[Message]) -> dict[str, Any]:
    """Give the schema of one message: of commands what is accepted, of events what is sent.

    `x-kind` says which of the two it is, `x-topic` and `x-key` where and under which field it travels.
    """
    is_command = issubclass(message, Command)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:portfolio-bus:v1:{message.__name__}",
        "x-kind": "command" if is_command else "event",
        "x-topic": message.topic.name,
        "x-key": message.key_field,
        **message.model_json_schema(mode="validation" if is_command else "serialization"),
    }


def schema_text(message: type[Message]) -> str:
    """Give the schema as its file holds it."""
    return json.dumps(schema_of(message), indent=2, sort_keys=True) + "\n"


def write_schemas(folder: Path = SCHEMAS) -> None:
    """Write the file of every message; files of messages that are no more stay, and a test complains of them."""
    folder.mkdir(exist_ok=True)
    for name, message in MESSAGES.items():
        (folder / f"{name}.json").write_text(schema_text(message), encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
