"""Configurations: the link from an account to its allocation."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kit.refusals import Conflict, NotFound


@dataclass(frozen=True)
class Configuration:
    """The link from an account to its allocation; once deleted it stays as the memory of version and revision."""

    account_id: UUID
    allocation_id: UUID
    version: int
    revision: int
    configured: bool
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


class ConfigurationNotFound(NotFound):
    """The account has no configuration."""


class AccountAlreadyConfigured(Conflict):
    """The account has a configuration already; delete it before configuring the account anew."""
