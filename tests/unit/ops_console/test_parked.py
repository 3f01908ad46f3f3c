"""The index of what is parked: bounded, and true about what has gone back."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.ops_console.domain import ParkedIndex, ParkedSeen, SentBack

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def parked(number: int, stamped: float, *, group: str = "a.group", reason: str = "not_json") -> ParkedSeen:
    at = BEGAN + timedelta(seconds=stamped)
    return ParkedSeen(f"{group}/t/0/{number}", group, reason, "why", "t", 0, number, 1, at, stamped)


def test_what_was_sent_back_waits_no_more_until_it_is_parked_again() -> None:
    index = ParkedIndex()
    index.take(parked(1, 10.0))
    index.take(SentBack("a.group/t/0/1", 11.0))
    assert (index.matching(), [each.sent_back for each in index.matching(waiting=False)]) == ([], [11.0])
    index.take(parked(1, 12.0))
    assert [each.stamped for each in index.matching()] == [12.0]
    index.take(SentBack("a.group/t/0/1", 11.0))
    assert len(index.matching()) == 1, "an older way back is not that of what was parked since"


def test_those_that_match_are_told_the_newest_first_and_counted_with_their_oldest() -> None:
    index = ParkedIndex()
    for number, group, reason in [(1, "a.group", "x"), (2, "b.group", "x"), (3, "a.group", "y"), (4, "a.group", "x")]:
        index.take(parked(number, float(number), group=group, reason=reason))
    assert [each.offset for each in index.matching("a.group")] == [4, 3, 1]
    assert [each.offset for each in index.matching(reason="x")] == [4, 2, 1]
    assert index.counts() == {("a.group", "x"): 2, ("b.group", "x"): 1, ("a.group", "y"): 1}
    assert index.oldest()["a.group", "x"] == BEGAN + timedelta(seconds=1)


def test_the_newest_are_kept_and_the_others_are_counted() -> None:
    index = ParkedIndex(at_most=10)
    for number in range(25):
        index.take(parked(number, float(number)))
    assert (len(index), index.left_out) == (10, 15)
    assert [each.offset for each in index.matching()][-1] == 15


TOLD = st.one_of(
    st.builds(parked, st.integers(0, 3), st.integers(0, 20).map(float)),
    st.builds(SentBack, st.integers(0, 3).map("a.group/t/0/{}".format), st.integers(0, 20).map(float)),
)


@given(st.lists(TOLD))
def test_reading_everything_again_changes_nothing(told: list[ParkedSeen | SentBack]) -> None:
    index = ParkedIndex()
    ordered = [each for each in told if isinstance(each, ParkedSeen)] + [e for e in told if isinstance(e, SentBack)]
    for each in ordered:
        index.take(each)
    before, version = index.matching(waiting=False), index.version
    for each in ordered:
        index.take(each)
    assert (index.matching(waiting=False), index.version) == (before, version)
