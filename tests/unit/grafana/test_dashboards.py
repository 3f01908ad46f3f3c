"""The dashboards in the repository are those that the code writes, and ask for what the services tell."""

import json

import pytest
import yaml

from deploy.grafana.__main__ import DASHBOARDS
from deploy.grafana.boards import BOARDS
from deploy.grafana.drawing import Board, drawn
from services.webhook_dispatcher.workers import MEASURES as OF_THE_DISPATCHER
from shared.kit.metrics import MEASURES, PROCESS
from tests.docs.documents import REPOSITORY
from tests.queries import unknown_in

EACH = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
QUERIES = [query.expression for board in BOARDS for panel in board.panels for query in panel.queries]


def test_the_files_are_those_that_the_code_writes() -> None:
    written = {path.stem: path.read_text() for path in DASHBOARDS.iterdir()}
    assert written == {board.uid: drawn(board) for board in BOARDS}, "run python -m deploy.grafana"


@EACH
def test_every_panel_of_the_code_is_in_the_file_with_all_its_queries(board: Board) -> None:
    shown = [panel for panel in json.loads(drawn(board))["panels"] if panel["type"] != "row"]
    assert [(panel["title"], [target["expr"] for target in panel["targets"]]) for panel in shown] == [
        (panel.title, [query.expression for query in panel.queries]) for panel in board.panels
    ]


@pytest.mark.parametrize("query", sorted(set(QUERIES)))
def test_a_panel_asks_for_metrics_and_labels_that_are_told(query: str) -> None:
    assert unknown_in(query, {"up": frozenset()}) == set()


def test_every_metric_of_ours_is_on_a_dashboard() -> None:
    asked = " ".join(QUERIES)
    assert [
        each.name for each in (*MEASURES, *OF_THE_DISPATCHER) if each not in PROCESS and each.name not in asked
    ] == []


def test_grafana_is_told_where_the_dashboards_are_and_whom_to_ask() -> None:
    provisioning = REPOSITORY / "deploy" / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "portfolio-bus.yml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert provider["type"] == "file"
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    every = yaml.safe_load((REPOSITORY / "deploy" / "prometheus" / "prometheus.yml").read_text())["global"]
    assert source["jsonData"]["timeInterval"] == every["scrape_interval"]
