"""Programs that tests run and that do not come with the locked requirements."""

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """The path of a program from a Debian package; without it the test is skipped, and fails where CI is to have it."""
    found = shutil.which(name)
    if found is not None:
        return found
    missing = f"{name} is not here (Debian: {package})"
    if os.environ.get("CI"):
        pytest.fail(f"{missing}, and CI must have it")
    pytest.skip(f"{missing}: what is shown with it stays unshown")
