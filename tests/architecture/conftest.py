import shutil
from pathlib import Path

import pytest

from .planting import Tree
from .sources import ROOT


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A copy of the sources, to plant violations in."""
    copied: Path = tmp_path_factory.mktemp("tree")
    for folder in ("services", "shared", "deploy"):
        shutil.copytree(ROOT / folder, copied / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copied)
    return Tree(copied)
