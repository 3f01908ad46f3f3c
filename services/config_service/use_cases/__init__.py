"""What can be asked of config_service, the same over HTTP and by command.

Whoever writes an event of an account locks the account's row first and decides on what the lock has shown (P2).
"""

from .accounts import change_account, list_accounts, open_account, read_account
from .allocations import delete_allocation, list_allocations, make_allocation, read_allocation
from .clients import create_client, recognise_client, signing_keys
from .configurations import (
    configure_account,
    delete_configuration,
    hold_accounts,
    list_configurations,
    read_configuration,
)

__all__ = [
    "change_account",
    "configure_account",
    "create_client",
    "delete_allocation",
    "delete_configuration",
    "hold_accounts",
    "list_accounts",
    "list_allocations",
    "list_configurations",
    "make_allocation",
    "open_account",
    "read_account",
    "read_allocation",
    "read_configuration",
    "recognise_client",
    "signing_keys",
]
