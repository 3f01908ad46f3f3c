"""How a dashboard is drawn: the same width, legend, unit and wording for every panel, in few words."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as commons
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef

#: of the 24 columns that a dashboard has
_WIDTH = 12
_HEIGHT = 8

#: whichever Prometheus the reader has chosen at the top of the dashboard
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True)
class Query:
    """What a panel asks Prometheus, and what each line is called: `{{label}}` stands for a label's value."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One graph."""

    title: str
    meaning: str
    #: as Grafana calls it: `s`, `short`, `percentunit`, `bytes`, `reqps`
    unit: str
    queries: Sequence[Query]


@dataclass(frozen=True)
class Board:
    """One dashboard: rows of panels under headings."""

    #: also the name of its file
    uid: str
    title: str
    rows: Sequence[tuple[str, Sequence[Panel]]]

    @property
    def panels(self) -> list[Panel]:
        """All of them."""
        return [panel for _, panels in self.rows for panel in panels]


def quantiles(metric: str, *by: str, of: Sequence[float] = (0.5, 0.99)) -> list[Query]:
    """The quantiles of a histogram, a line for each and for each value of the labels `by`."""
    labels, named = ", ".join(["le", *by]), " ".join(f"{{{{{label}}}}}" for label in by)
    return [
        Query(
            f"histogram_quantile({each}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))",
            f"{named} p{each * 100:g}".strip(),
        )
        for each in of
    ]


def rate(metric: str, *by: str, matching: str = "") -> Query:
    """How much a counter grows in a second, a line for each value of the labels `by`."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return Query(f"sum by ({', '.join(by)}) (rate({metric}{matching}[$__rate_interval]))", legend)


def greatest(metric: str, *by: str, matching: str = "") -> Query:
    """The greatest of a gauge over whoever tells it, a line for each value of the labels `by`."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return Query(f"max by ({', '.join(by)}) ({metric}{matching})", legend)


def drawn(board: Board) -> str:
    """The dashboard as Grafana reads it."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags(["portfolio-bus"])
        .timezone("browser")
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for heading, panels in board.rows:
        made = made.with_row(dashboard.Row(heading))
        for panel in panels:
            made = made.with_panel(_graph(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _graph(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(show_legend=True)
    graph = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.meaning)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .min(0)
        .span(_WIDTH)
        .height(_HEIGHT)
        .fill_opacity(8)
        .show_points(commons.VisibilityMode.NEVER)
        .legend(legend.display_mode(commons.LegendDisplayMode.LIST).placement(commons.LegendPlacement.BOTTOM))
        .tooltip(common.VizTooltipOptions().mode(commons.TooltipDisplayMode.MULTI))
    )
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(letter).range()
        graph = graph.with_target(target)
    return graph
