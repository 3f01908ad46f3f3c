"""What can keep the local stack from serving, each said in one sentence."""

from __future__ import annotations

from pathlib import Path

_LOG_LINES = 30


class StackUnavailableError(Exception):
    """Nothing serves what the stack needs; the message says what is missing and how to supply it."""


class ArtefactRefusedError(StackUnavailableError):
    """A downloaded or cached file does not have the SHA-256 sum that the repository expects of it."""


class ProcessFailedError(StackUnavailableError):
    """A process did not start, or ended before it was ready; the message ends with its last log lines."""

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        """Append the last lines of `log` to `sentence`, so that nobody has to look for the file."""
        self.sentence = sentence
        self.lines = [f"  | {line}" for line in last_lines(log)] if log else []
        super().__init__("\n".join([sentence, *self.lines]))


def last_lines(log: Path, count: int = _LOG_LINES) -> list[str]:
    """Return the last `count` lines of a log file, none where the file does not exist."""
    try:
        return log.read_text(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
