"""Ids that sort by the time of their making."""

import secrets
import time
from uuid import UUID


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of Unix milliseconds, then randomness; neighbours share index pages."""
    milliseconds = time.time_ns() // 1_000_000
    randomness = secrets.randbits(74)
    high = milliseconds << 16 | 0x7000 | randomness >> 62
    low = 0b10 << 62 | randomness & (1 << 62) - 1
    return UUID(int=high << 64 | low)
