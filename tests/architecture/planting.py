"""A copy of the sources in which violations are planted, and taken out again."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VERDICT = re.compile(r"^(.+) (KEPT|BROKEN)$", re.MULTILINE)


class Tree:
    """The copy; `root` stands for the root of the repository."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def planted(self, name: str, text: str = "") -> Iterator[None]:
        """Within the block, the file `name` exists and ends with `text`."""
        path = self.root / name
        before = path.read_text() if path.exists() else None
        missing = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{before or ''}\n{text}\n")
        try:
            yield
        finally:
            if before is not None:
                path.write_text(before)
            else:
                path.unlink()
            for folder in missing:
                folder.rmdir()

    def verdicts(self) -> dict[str, str]:
        """What import-linter says of each contract in pyproject.toml: KEPT or BROKEN."""
        command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
        # A narrow terminal would break the lines that are read here.
        wide = os.environ | {"COLUMNS": "300"}
        ran = subprocess.run(command, cwd=self.root, env=wide, capture_output=True, text=True, check=False, timeout=60)
        verdicts = dict(_VERDICT.findall(ran.stdout))
        assert verdicts, ran.stdout + ran.stderr
        assert (ran.returncode == 0) == ("BROKEN" not in verdicts.values()), ran.stdout
        return verdicts
