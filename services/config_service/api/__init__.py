"""HTTP in: tokens, clients, accounts, allocations, configurations, ledgers and their portfolios."""

from .accounts import account_routes
from .allocations import allocation_routes
from .auth import auth_routes
from .clients import client_routes
from .configurations import configuration_routes
from .keys import OwnKeys
from .ledgers import ledger_routes
from .portfolios import portfolio_routes

__all__ = [
    "OwnKeys",
    "account_routes",
    "allocation_routes",
    "auth_routes",
    "client_routes",
    "configuration_routes",
    "ledger_routes",
    "portfolio_routes",
]
