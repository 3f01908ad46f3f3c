"""How long a batch of the relay's waits for company."""

import time

#: While news keeps coming, the next batch waits for company, from batch to batch a little longer: what a transaction
#: costs Kafka and all its readers hardly depends on how many messages it has.
_STEP = 0.002
_LONGEST = 0.025
#: news that comes after a rest of this length does not wait
_REST = 0.04


class Company:
    """The wait of one shard's batches."""

    def __init__(self) -> None:
        self._wait = 0.0
        self._free_at = 0.0

    def wait(self, began: float) -> float:
        """Seconds until the batch after the one that `began` then, on the monotonic clock, may begin."""
        rested = began - self._free_at > _REST
        self._wait = 0.0 if rested else min(self._wait + _STEP, _LONGEST)
        now = time.monotonic()
        self._free_at = max(now, began + self._wait)
        return self._free_at - now
