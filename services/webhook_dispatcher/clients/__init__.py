"""Calls out: to subscribers' endpoints."""

from .dialling import guarded_connector
from .sender import Sender

__all__ = ["Sender", "guarded_connector"]
