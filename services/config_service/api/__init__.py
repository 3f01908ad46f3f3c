"""HTTP in: tokens, accounts, allocations, configurations."""

from .accounts import account_routes
from .allocations import allocation_routes
from .auth import auth_routes
from .configurations import configuration_routes
from .keys import OwnKeys

__all__ = ["OwnKeys", "account_routes", "allocation_routes", "auth_routes", "configuration_routes"]
