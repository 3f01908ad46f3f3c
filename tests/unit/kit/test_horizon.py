"""The relay's cursor never passes a row that can still appear (property over random schedules of transactions)."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from shared.kit.horizon import Horizon, Snapshot


@dataclass
class Outbox:
    """PostgreSQL as far as the cursor depends on it: transaction ids and row ids handed out before the commit."""

    next_xid: int = 1
    next_id: int = 1
    open: dict[int, list[int]] = field(default_factory=dict)
    visible: set[int] = field(default_factory=set)
    published: list[int] = field(default_factory=list)

    def begin(self) -> None:
        self.open[self.next_xid] = []
        self.next_xid += 1

    def insert(self, which: int) -> None:
        if self.open:
            self.open[sorted(self.open)[which % len(self.open)]].append(self.next_id)
            self.next_id += 1

    def end(self, which: int, *, commit: bool) -> None:
        if self.open:
            rows = self.open.pop(sorted(self.open)[which % len(self.open)])
            self.visible |= set(rows) if commit else set()

    def read(self, horizon: Horizon, limit: int) -> Horizon:
        rows = sorted(row for row in self.visible if row > horizon.cursor)[:limit]
        xmin = min(self.open, default=self.next_xid)
        snapshot = Snapshot(xmin, self.next_xid, rows[-1] if rows else None, exhausted=not rows)
        self.published += rows
        self.visible -= set(rows)
        return horizon.after(snapshot)


steps = st.lists(
    st.one_of(
        st.just(("begin", 0)),
        st.tuples(st.just("insert"), st.integers(0, 5)),
        st.tuples(st.just("commit"), st.integers(0, 5)),
        st.tuples(st.just("rollback"), st.integers(0, 5)),
        st.tuples(st.just("read"), st.integers(1, 3)),
    ),
    max_size=80,
)


@given(steps)
def test_every_committed_row_is_published_exactly_once(schedule: list[tuple[str, int]]) -> None:
    outbox, horizon, committed = Outbox(), Horizon(), 0
    for step, number in schedule:
        if step == "begin":
            outbox.begin()
        elif step == "insert":
            outbox.insert(number)
        elif step == "read":
            horizon = outbox.read(horizon, number)
        else:
            before = len(outbox.visible)
            outbox.end(number, commit=step == "commit")
            committed += len(outbox.visible) - before
    for _ in range(committed + 1):
        horizon = outbox.read(horizon, 3)

    assert len(outbox.published) == committed
    assert len(set(outbox.published)) == committed


def test_the_cursor_moves_once_all_transactions_of_the_earlier_snapshot_have_ended() -> None:
    horizon = Horizon().after(Snapshot(xmin=5, xmax=9, last_id=40, exhausted=False))
    assert horizon.after(Snapshot(xmin=8, xmax=12, last_id=50, exhausted=False)).cursor == 0
    assert horizon.after(Snapshot(xmin=9, xmax=12, last_id=50, exhausted=False)).cursor == 40
