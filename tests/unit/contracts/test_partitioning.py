"""Our partitions are those of the Java client, which aiokafka follows too."""

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import murmur2, partition_of


@given(st.binary(max_size=200))
def test_the_hash_is_the_one_of_aiokafka(key: bytes) -> None:
    assert murmur2(key) == aiokafka_murmur2(key) & 0xFFFFFFFF


# From Kafka's own UtilsTest.testMurmur2.
@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_the_one_of_the_java_client(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 1000))
def test_a_key_has_one_partition_as_text_and_as_bytes(key: str, partitions: int) -> None:
    partition = partition_of(key, partitions)

    assert 0 <= partition < partitions
    assert partition == partition_of(key.encode(), partitions)
