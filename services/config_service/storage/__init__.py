"""Tables and named queries of config_service, by noun.

Every query on what belongs to a client names the client (P8), unless the row was locked by one that does. Times are
those of the statement, by the database's clock: a statement that runs after a row was locked is later than whatever
the lock was waited for.
"""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from .accounts import account_of, accounts_of, add_account, change_account, lock_account, lock_accounts
from .allocations import (
    add_allocation,
    allocation_of,
    allocations_of,
    delete_allocation,
    hold_allocation,
    lock_allocation,
)
from .clients import add_client, add_signing_key, client_with, lock_signing_keys, sealed_signing_keys
from .configurations import (
    configuration_of,
    configurations_of,
    configure,
    delete_configuration,
    is_configured,
    is_used,
)

__all__ = [
    "Connection",
    "account_of",
    "accounts_of",
    "add_account",
    "add_allocation",
    "add_client",
    "add_signing_key",
    "allocation_of",
    "allocations_of",
    "change_account",
    "client_with",
    "configuration_of",
    "configurations_of",
    "configure",
    "delete_allocation",
    "delete_configuration",
    "hold_allocation",
    "is_configured",
    "is_used",
    "lock_account",
    "lock_accounts",
    "lock_allocation",
    "lock_signing_keys",
    "sealed_signing_keys",
]
