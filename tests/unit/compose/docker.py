"""Stands in for `docker` where no engine answers: writes down how it was called, and says what Docker would."""

import json
import os
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    place = Path(os.environ["STAND_IN"])
    with (place / "calls").open("a") as calls:
        calls.write(json.dumps({"asked": arguments, "told": dict(os.environ)}) + "\n")
    (word,) = (
        each for each in arguments if each in {"run", "up", "ps", "down", "logs", "inspect", "pause", "kill", "wait"}
    )
    if (place / f"{word} fails").exists():
        sys.stderr.write(f"{word} did not work\n")
        return 1
    if word == "run":
        client = {"client_id": "an id", "client_secret": "a secret"}
        print(json.dumps(client) if "compose" in arguments else "127.0.0.1")  # noqa: T201 -- what Docker prints
    if word == "ps":
        print(f"container of {arguments[-1]}")  # noqa: T201 -- what Docker prints
    if word == "inspect":
        print("2026-03-01T12:00:00.123456789Z")  # noqa: T201 -- what Docker prints
    if word == "logs":
        print("order-service-1 | a line of a log")  # noqa: T201 -- what Docker prints
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
