"""Node, with the packages of one lock file: for programs that show the contracts to serve more than Python."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from deploy.local.artefacts import user_cache

SECONDS = 90


def node_or_skip() -> str:
    """The path of node; without it the test is skipped, and fails where everything has to be there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None:
        return node
    if os.environ.get("CI"):
        pytest.fail("node and npm are not here, and CI must have them")
    pytest.skip("node and npm are not here: what is shown with them stays unshown")


def with_packages(project: Path, folder: Path) -> Path:
    """Put a project's files into `folder`, with the packages of its lock file; answers `folder`.

    The packages are installed once into the user's cache, each checked against its hash, and linked from there.
    """
    for file in project.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(_installed(project) / "node_modules")
    return folder


def _installed(project: Path) -> Path:
    lock = (project / "package-lock.json").read_bytes()
    kept = user_cache() / f"node-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{kept.name}.part-", dir=kept.parent) as part:
            fresh = Path(part) / "project"
            fresh.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(project / name, fresh)
            _install(fresh)
            # Renamed when complete; another process may have been quicker.
            if not kept.exists():
                fresh.replace(kept)
    return kept


def _install(project: Path) -> None:
    npm = shutil.which("npm") or "npm"
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline")
    ran = subprocess.run([npm, "ci", *quiet], cwd=project, capture_output=True, text=True, check=False, timeout=SECONDS)
    if ran.returncode:
        pytest.fail(f"npm could not install the packages of the lock file:\n{ran.stdout}{ran.stderr}")
