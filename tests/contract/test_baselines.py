"""What a change is held against, in repositories of all sorts."""

import shutil
import subprocess
from pathlib import Path

import pytest

from .baselines import agreed_commits, files_at, text_at


def _git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    git = shutil.which("git") or "git"
    ran = subprocess.run([git, *who, *arguments], cwd=root, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def _commit(root: Path, text: str) -> str:
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs" / "contract.json").write_text(text)
    _git(root, "add", ".")
    _git(root, "commit", "-m", text)
    return _git(root, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    _git(root, "init", "--initial-branch=main")
    return root


def test_a_file_written_anew_is_held_against_the_last_commit_and_the_one_before(repository: Path) -> None:
    commits = [_commit(repository, text) for text in ("first", "second", "third")]
    (repository / "docs" / "contract.json").write_text("fourth")

    assert agreed_commits(repository) == (commits[2], commits[1])
    assert [text_at(each, "docs/contract.json", repository) for each in agreed_commits(repository)] == [
        "third",
        "second",
    ]
    assert files_at(commits[2], "docs", repository) == ["docs/contract.json"]
    assert text_at(commits[2], "docs/other.json", repository) is None
    assert files_at(commits[2], "other", repository) == []


def test_a_branch_is_held_against_where_it_left_main_however_long_ago(repository: Path) -> None:
    base = _commit(repository, "on main")
    _git(repository, "checkout", "-b", "work")
    commits = [_commit(repository, text) for text in ("one", "two", "three")]

    assert agreed_commits(repository) == (commits[2], commits[1], base)


def test_everything_is_held_against_each_release(repository: Path) -> None:
    released = _commit(repository, "released")
    _git(repository, "tag", "v1.0.0")
    commits = [_commit(repository, text) for text in ("one", "two", "three")]

    assert agreed_commits(repository) == (commits[2], commits[1], released)


def test_a_shallow_clone_is_held_against_its_one_commit(repository: Path, tmp_path: Path) -> None:
    _commit(repository, "first")
    last = _commit(repository, "second")
    _git(tmp_path, "clone", "--depth=1", f"file://{repository}", "shallow")

    assert agreed_commits(tmp_path / "shallow") == (last,)


def test_a_first_commit_to_be_and_a_folder_in_another_repository_have_nothing_before_them(repository: Path) -> None:
    assert agreed_commits(repository) == ()
    _commit(repository, "first")
    assert agreed_commits(repository / "docs") == ()
