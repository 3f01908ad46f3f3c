"""The command line of webhook_dispatcher: migrate, run, redrive."""

import shared.kit.quick_start  # noqa: F401 -- before all that takes long to import
from shared.kit.command_line import main, service_commands

from .app import build
from .settings import Settings

if __name__ == "__main__":
    main(service_commands("webhook_dispatcher", Settings, build))
