"""Clocks that are wrong: libfaketime, where it is installed, moves the time of day of single processes.

The monotonic clock goes on as it is, as it does where an operator or NTP sets a machine's time.
https://github.com/wolfcw/libfaketime
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
_SHARED = Path("/dev/shm")  # noqa: S108 -- where the library leaves what it shares with children


def library() -> Path | None:
    """Where libfaketime is, None where it is not installed."""
    found = (path for pattern in _PLACES for path in Path("/").glob(pattern.removeprefix("/")))
    return next(found, None)


class Clocks:
    """The clocks of some processes, each by a file that says how far it is off."""

    def __init__(self, folder: Path, owners: Sequence[str], of: Path) -> None:
        """`owners`: labels of services' processes; `of`: the library."""
        self._library = of
        self._files = {owner: folder / f"{owner}.clock" for owner in owners}
        for owner in owners:
            self.step(owner, 0.0)

    @property
    def owners(self) -> list[str]:
        """Whose clocks can be moved."""
        return sorted(self._files)

    def environment(self, owner: str) -> Mapping[str, str]:
        """What its process is started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._files[owner]),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, owner: str, seconds: float) -> None:
        """Let its time of day be off by so much, from within a second on."""
        new = self._files[owner].with_suffix(".new")
        new.write_text(f"{seconds:+.1f}\n")
        new.replace(self._files[owner])


def clear_away() -> None:
    """Remove what the library has shared in processes that were killed, which it would have removed itself."""
    for left in [*_SHARED.glob("faketime_shm_*"), *_SHARED.glob("sem.faketime_sem_*")]:
        pid = left.name.rpartition("_")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            with suppress(OSError):
                left.unlink()
