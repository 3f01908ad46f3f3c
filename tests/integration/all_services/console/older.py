"""A service as it was before its contracts had an event, run in the service's place.

`python -m tests.integration.all_services.console.older SERVICE`, with the service's own environment.
"""

import sys
from importlib import import_module
from typing import Any

from shared.contracts import MESSAGES, AllocationCreated, record
from shared.kit.command_line import in_loop
from shared.kit.service import Role, run


def _main(name: str) -> None:
    reading: Any = record
    reading.MESSAGES = {known: kind for known, kind in MESSAGES.items() if kind is not AllocationCreated}
    settings = import_module(f"services.{name}.settings").Settings
    build = import_module(f"services.{name}.app").build
    in_loop(lambda service: run(service, frozenset(Role)), build, settings, name)


if __name__ == "__main__":
    _main(sys.argv[1])
