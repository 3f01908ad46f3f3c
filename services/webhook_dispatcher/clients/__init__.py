"""Calls out: to subscribers' endpoints, and to where tokens for them come from."""

from .dialling import guarded_connector, guarded_pool
from .sender import Sender
from .targets import target_of
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
    "target_of",
]
