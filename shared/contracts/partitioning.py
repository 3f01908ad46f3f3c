"""Kafka's default partitioning (murmur2, as in the Java client), so that all of us agree on a key's partition.

librdkafka's default differs. Of an upstream's messages nothing is assumed but the key, so that does no harm as long as
all senders of one account's messages are one program, which has to see to their order anyway.
"""

from struct import iter_unpack
from typing import Final

_SEED: Final = 0x9747B28C
_MIX: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """MurmurHash2 of the bytes with Kafka's seed, as an unsigned 32-bit number."""
    whole = len(key) & ~3
    digest = _SEED ^ len(key)
    for (word,) in iter_unpack("<I", key[:whole]):
        mixed = word * _MIX & _MASK
        mixed = (mixed ^ mixed >> 24) * _MIX & _MASK
        digest = digest * _MIX & _MASK ^ mixed
    if whole != len(key):
        digest = (digest ^ int.from_bytes(key[whole:], "little")) * _MIX & _MASK
    digest = (digest ^ digest >> 13) * _MIX & _MASK
    return digest ^ digest >> 15


def partition_of(key: str | bytes, partitions: int) -> int:
    """The partition, from 0 to `partitions` - 1, where our producers put a key; text is hashed as its UTF-8."""
    raw = key.encode() if isinstance(key, str) else key
    return (murmur2(raw) & 0x7FFFFFFF) % partitions
