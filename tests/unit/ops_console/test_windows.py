"""What the console keeps between looks, and what that says of a group."""

from services.ops_console.domain import Look, Standing, State, Trend, Windows, group_of, standing_of

WHERE = ("a.group", "a.topic", 0)


def taken(windows: Windows, *looks: Look) -> Windows:
    for look in looks:
        windows.take({"a.group": look.members}, {WHERE: look})
    return windows


def test_a_window_holds_so_many_looks_and_no_more() -> None:
    windows = taken(Windows(3), *(Look(n, 10, 1) for n in range(10)))
    assert [look.committed for look in windows.looks[WHERE]] == [7, 8, 9]
    assert windows.last[WHERE].committed == 9


def test_the_members_of_a_group_are_the_most_of_its_window() -> None:
    windows = taken(Windows(2), Look(0, 1, 2), Look(0, 1, 0))
    assert windows.members == {"a.group": 2}
    assert taken(windows, Look(0, 1, 0)).members == {"a.group": 0}


def test_what_is_not_seen_any_more_is_forgotten() -> None:
    windows = taken(Windows(3), Look(0, 1, 1))
    windows.take({}, {})
    assert (dict(windows.looks), windows.members) == ({}, {})


def test_the_trend_is_of_all_that_waits_for_the_group() -> None:
    growing, shrinking = [Look(0, 1, 1), Look(0, 5, 1)], [Look(0, 4, 1), Look(3, 4, 1)]
    standings = [standing_of(WHERE, growing, 2.5, only_markers=False)]
    seen = group_of("a.group", 1, standings, [growing, shrinking])
    assert (seen.trend, seen.records, seen.seconds, seen.service) == (Trend.GROWING, 5, 2.5, "a")
    assert group_of("a.group", 1, standings, [shrinking]).trend is Trend.SHRINKING
    assert group_of("a.group", 1, standings, []).trend is Trend.STEADY


def test_a_group_without_members_is_stopped_whatever_its_partitions_say() -> None:
    well = Standing("a.group", "a.topic", 0, records=0, seconds=0.0, state=State.OK)
    assert group_of("a.group", 0, [well]).state is State.STOPPED
