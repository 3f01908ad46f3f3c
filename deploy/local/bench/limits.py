"""How many deletions a second the system bears: the rate at which the slowest hundredth takes longer than a second."""

from deploy.local.bench.accounts import Bench
from deploy.local.bench.deletions import ORDERS_EACH, deletions_of
from deploy.local.bench.figures import Figure, percentile

SECONDS = 5
SLOWEST = 1.0
FIRST_RATE = 20
_STEP = 1.5
_GIVE_UP = 300.0


async def limits(bench: Bench, runs: int) -> list[Figure]:
    """The rate rises by half from one to the next until p99 passes a second."""
    borne, passed, slowest = [], [], []
    for _ in range(runs):
        rate, before = FIRST_RATE, 0
        while (p99 := await _p99(bench, rate)) <= SLOWEST:
            before, rate = rate, int(rate * _STEP)
        borne.append(float(before))
        passed.append(float(rate))
        slowest.append(p99)
    name = f"deletions a second, {ORDERS_EACH} orders each, {SECONDS} s long"
    return [
        Figure(f"{name}: the last rate with a p99 within {SLOWEST:g} s", "/s", borne),
        Figure("… the first whose p99 passes it", "/s", passed),
        Figure("… p99 there", "s", slowest),
    ]


async def _p99(bench: Bench, rate: int) -> float:
    """Seconds from sending DELETE to the last order's cancellation, at that rate."""
    measured = await deletions_of(bench, rate * SECONDS, rate, _GIVE_UP)
    return percentile([cancelled for cancelled, _ in measured], 99)
