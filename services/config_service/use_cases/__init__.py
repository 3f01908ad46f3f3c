"""What can be asked of config_service, the same over HTTP and by command.

Whoever writes an event of an account or of a portfolio locks its row first and decides on what the lock has shown
(P2); portfolios are locked before accounts.
"""

from .accounts import change_account, list_accounts, open_account, read_account
from .allocations import (
    delete_allocation,
    list_allocations,
    list_configured_accounts,
    make_allocation,
    read_allocation,
    replace_allocation,
)
from .clients import (
    add_client,
    change_client,
    create_client,
    create_known_client,
    list_clients,
    note_client,
    read_client,
    recognise_client,
    revoke_client,
    rotate_secret,
    signing_keys,
)
from .configurations import (
    change_configuration,
    configure_account,
    delete_configuration,
    hold_accounts,
    list_configurations,
    read_configuration,
)
from .foresight import foresee_refusals
from .ledgers import (
    list_ledgers,
    list_organizations,
    make_ledger,
    make_organization,
    read_ledger,
    read_organization,
)
from .portfolios import (
    count_portfolios,
    create_portfolio,
    delete_portfolio,
    foresee_portfolio_refusals,
    hold_portfolios,
    list_portfolios,
    read_portfolio,
    update_portfolio,
)

__all__ = [
    "add_client",
    "change_account",
    "change_client",
    "change_configuration",
    "configure_account",
    "count_portfolios",
    "create_client",
    "create_known_client",
    "create_portfolio",
    "delete_allocation",
    "delete_configuration",
    "delete_portfolio",
    "foresee_portfolio_refusals",
    "foresee_refusals",
    "hold_accounts",
    "hold_portfolios",
    "list_accounts",
    "list_allocations",
    "list_clients",
    "list_configurations",
    "list_configured_accounts",
    "list_ledgers",
    "list_organizations",
    "list_portfolios",
    "make_allocation",
    "make_ledger",
    "make_organization",
    "note_client",
    "open_account",
    "read_account",
    "read_allocation",
    "read_client",
    "read_configuration",
    "read_ledger",
    "read_organization",
    "read_portfolio",
    "recognise_client",
    "replace_allocation",
    "revoke_client",
    "rotate_secret",
    "signing_keys",
    "update_portfolio",
]
