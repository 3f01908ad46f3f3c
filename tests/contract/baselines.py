"""What was agreed upon before this change, as git holds it, so that writing a file anew does not change that.

A change is held against the last commit, so that work that is not committed yet is seen; against the one before, so
that a commit is seen when its own tests run; against where a branch left main; and against every release. A clone
without that history is held against what it has, and a copy without git against the files in it alone.
"""

import shutil
import subprocess
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

_NEAREST = ("HEAD", "HEAD^")
_MAIN = ("main", "origin/main")


@cache
def agreed_commits(root: Path = REPOSITORY) -> tuple[str, ...]:
    """The commits to be held against, newest first; none where `root` is not the top of a git repository."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top.strip()).resolve() != root.resolve():
        return ()
    left_main = [base.strip() for name in _MAIN if (base := _git(root, "merge-base", "HEAD", name))]
    releases = (_git(root, "tag", "--list", "v*", "--merged", "HEAD", "--sort=-creatordate") or "").split()
    names = [*_NEAREST, *left_main, *releases]
    found = [_git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") for name in names]
    return tuple(dict.fromkeys(commit.strip() for commit in found if commit))


def text_at(commit: str, path: str, root: Path = REPOSITORY) -> str | None:
    """A file as a commit holds it; None where it has none."""
    return _git(root, "show", f"{commit}:{path}")


def files_at(commit: str, folder: str, root: Path = REPOSITORY) -> list[str]:
    """The paths of the files in a folder as a commit holds it; none where it has no such folder."""
    return (_git(root, "ls-tree", "--name-only", commit, f"{folder}/") or "").splitlines()


def _git(root: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    ran = subprocess.run([git, *arguments], cwd=root, capture_output=True, encoding="utf-8", check=False)
    return ran.stdout if ran.returncode == 0 else None
