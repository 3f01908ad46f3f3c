"""Write the dashboards: `python -m deploy.grafana`."""

from pathlib import Path

from .boards import BOARDS
from .drawing import drawn

#: where Grafana is told to find them
DASHBOARDS = Path(__file__).parent / "dashboards"


def main() -> None:
    """Write one file for each dashboard."""
    for board in BOARDS:
        (DASHBOARDS / f"{board.uid}.json").write_text(drawn(board))


if __name__ == "__main__":
    main()
