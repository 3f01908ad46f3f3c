"""Which sources are run: figures and verdicts are told with their commit."""

from __future__ import annotations

import subprocess

from deploy.local.services import REPOSITORY


def commit_of_the_tree() -> str:
    """The commit of the sources as they are now, marked where they were changed since."""
    try:
        shown = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return shown.stdout.strip()
