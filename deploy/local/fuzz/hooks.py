"""What the process that makes the requests loads: our checks, and the hooks that keep valid requests valid."""

from __future__ import annotations

from deploy.local.fuzz import checks, valid

__all__ = ["checks", "valid"]
