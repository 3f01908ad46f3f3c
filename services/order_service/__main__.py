"""Command line: `python -m services.order_service migrate | run | redrive`."""

import shared.kit.quick_start  # noqa: F401 -- before all that takes long to import
from shared.kit.command_line import main, service_commands

from .app import build
from .settings import Settings

if __name__ == "__main__":
    main(service_commands("order_service", Settings, build))
