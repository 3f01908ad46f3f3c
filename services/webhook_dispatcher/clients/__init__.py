"""Calls out: to subscribers' endpoints, and to where tokens for them come from."""

from .dialling import guarded_connector, guarded_pool
from .sender import Sender
from .tokens import Token, TokenEndpoints, TokenNotGivenError
from .trust import TrustingSenders

__all__ = [
    "Sender",
    "Token",
    "TokenEndpoints",
    "TokenNotGivenError",
    "TrustingSenders",
    "guarded_connector",
    "guarded_pool",
]
