"""Identifiers that sort by the time they were made."""

import os
import time
from uuid import UUID

_MS = 1_000_000


def uuid7() -> UUID:
    """Make a UUID of version 7 (RFC 9562): the time in milliseconds, its fraction in 12 bits, 62 random bits."""
    milliseconds, nanoseconds = divmod(time.time_ns(), _MS)
    fraction = nanoseconds * 4096 // _MS
    random = int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 0b10 << 62 | random)
