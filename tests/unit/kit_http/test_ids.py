"""Identifiers sort by the time they were made."""

import time

from shared.contracts import new_id


def test_an_id_is_a_uuid_of_version_7_that_holds_its_time() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert before <= made.int >> 80 <= after


def test_ids_are_distinct_and_sort_by_time() -> None:
    made = []
    for _ in range(50):
        made.append(new_id())
        until = time.time_ns() + 2_000
        while time.time_ns() < until:
            pass
    assert made == sorted(set(made))
