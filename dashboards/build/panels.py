"""How panels look: the builders of grafana-foundation-sdk with the settings that all dashboards share. Nothing here is
specific to SMTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    piechart,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.piechart import PieChartLegendValues, PieChartType
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

Query = prometheus.Dataquery
Steps = dashboard.ThresholdsConfig
Variable = Builder[model.VariableModel]
Texts = Mapping[int, tuple[str, str]]
"""The text and color of each value."""

DATA_SOURCE = model.DataSourceRef("prometheus", "${datasource}")
NO_DATA = "no data"

GREEN, ORANGE, RED, BLUE, GRAY = "green", "orange", "red", "blue", "#808080"

# Cell types of table columns.
COLORED_TEXT = options.TableColorTextCellOptions()
COLORED_BACKGROUND = options.TableColoredBackgroundCellOptions(options.TableCellBackgroundDisplayMode.BASIC)
GAUGE = options.TableBarGaugeCellOptions(options.BarGaugeDisplayMode.BASIC, options.BarGaugeValueMode.TEXT)


# --- links and variables


def dashboard_link(title: str, url: str, tooltip: str) -> dashboard.DashboardLink:
    link = dashboard.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url)
    return link.tooltip(tooltip).icon("dashboard").keep_time(True)


def query_variable(name: str, label: str, query: str, description: str) -> dashboard.QueryVariable:
    """A variable whose values come from Prometheus."""
    variable = dashboard.QueryVariable(name).label(label).description(description).datasource(DATA_SOURCE)
    return (
        variable.query({"query": query, "refId": f"variable-{name}"})
        .current(model.VariableOption(text="", value=""))
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def multi_variable(name: str, label: str, query: str, description: str, all_value: str = ".*") -> Variable:
    """A variable from Prometheus that takes several values, or All."""
    variable = query_variable(name, label, query, description).multi(True).include_all(True).all_value(all_value)
    return variable.current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))


def textbox_variable(name: str, label: str, default: str, description: str) -> Variable:
    current = model.VariableOption(selected=True, text=default, value=default)
    variable = dashboard.TextBoxVariable(name).label(label).description(description)
    return variable.default_value(default).current(current).options([current])


# --- layout


PanelBuilder = stat.Panel | table.Panel | timeseries.Panel | statetimeline.Panel | bargauge.Panel | piechart.Panel
P = TypeVar("P", stat.Panel, table.Panel, timeseries.Panel, statetimeline.Panel, bargauge.Panel, piechart.Panel)


def row(height: int, *panels: tuple[int, PanelBuilder]) -> list[PanelBuilder]:
    """Panels side by side, each with its width in grid columns."""
    assert sum(width for width, _ in panels) == 24, "the grid has 24 columns"
    return [panel.height(height).span(width) for width, panel in panels]


# --- queries


def instant_query(expr: str, legend: str) -> Query:
    """A query that is evaluated once, at the end of the time range."""
    return Query().expr(expr).instant().legend_format(legend)


def table_query(expr: str) -> Query:
    """An instant query with one row per series."""
    return Query().expr(expr).instant().format(PromQueryFormat.TABLE)


def range_query(expr: str, legend: str) -> Query:
    return Query().expr(expr).range().legend_format(legend)


def max_and_median(expr: str) -> list[Query]:
    return [range_query(f"max({expr})", "max"), range_query(f"quantile(0.5, {expr})", "median")]


# --- thresholds, value mappings, colors


def steps(base: str, *bounds: tuple[float, str]) -> Steps:
    """Thresholds: the base color, then the color from each bound on."""
    above = [model.Threshold(value, color) for value, color in bounds]
    return Steps().mode(model.ThresholdsMode.ABSOLUTE).steps([model.Threshold(None, base), *above])


def value_mapping(texts: Texts) -> model.ValueMap:
    results = {
        str(value): model.ValueMappingResult(text, color, index=index)
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return model.ValueMap(results)


def null_mapping(text: str = "–", color: str = GRAY) -> model.SpecialValueMap:
    """The text for an unknown value."""
    result = model.ValueMappingResult(text, color, index=0)
    return model.SpecialValueMap(model.DashboardSpecialValueMapOptions(model.SpecialValueMatch.NULL_AND_NAN, result))


def color_by(mode: model.FieldColorModeId) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(mode)


def fixed_color(color: str) -> dashboard.FieldColor:
    return color_by(model.FieldColorModeId.FIXED).fixed_color(color)


# --- columns


@dataclass(frozen=True)
class Column:
    """A table column: the field that it shows, its title, and its field settings."""

    field: str
    title: str
    properties: list[model.DynamicConfigValue]


_PROPERTY_IDS = {
    "width": "custom.width",
    "min_width": "custom.minWidth",
    "cell": "custom.cellOptions",
    "hidden": "custom.hidden",
}


def column(field: str, title: str, *, wrap: bool = False, **properties: Any) -> Column:
    """A column with the given field settings. `wrap` is for long texts, which would be cut off otherwise."""
    values: dict[str, Any] = {"unit": "none"} if field.startswith("Value") else {}
    values |= {_PROPERTY_IDS.get(key, key): value for key, value in properties.items()}
    if wrap:
        # Grafana before version 12 reads the first, later versions the second.
        values |= {"custom.cellOptions": options.TableAutoCellOptions(wrap_text=True), "custom.wrapText": True}
    return Column(field, title, _properties(values))


def _properties(values: Mapping[str, Any]) -> list[model.DynamicConfigValue]:
    """Field settings by their names in Grafana."""
    return [
        model.DynamicConfigValue(id, value.build() if isinstance(value, Builder) else value)
        for id, value in values.items()
    ]


def data_link(title: str, url: str, *, target_blank: bool = False) -> list[dict[str, object]]:
    # The SDK has links of dashboards only, whose fields are others.
    return [{"title": title, "url": url, "targetBlank": target_blank}]


# --- panels


def _with_defaults(panel: P, title: str, description: str, queries: Iterable[Query]) -> P:
    targets: list[Builder[variants.Dataquery]] = [
        query.ref_id(letter).datasource(DATA_SOURCE).editor_mode(QueryEditorMode.CODE)
        for letter, query in zip(ascii_uppercase, queries)
    ]
    panel = panel.title(title).description(description).datasource(DATA_SOURCE).targets(targets)
    return panel.no_value(NO_DATA).unit("none").thresholds(steps("text")).mappings([]).overrides([])


def _reduce(*, values: bool) -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(values)


def _tooltip(mode: options.TooltipDisplayMode, sort: options.SortOrder) -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(mode).sort(sort)


def _legend(calcs: Sequence[str] = ()) -> common.VizLegendOptions:
    mode = options.LegendDisplayMode.TABLE if calcs else options.LegendDisplayMode.LIST
    return common.VizLegendOptions().show_legend(True).display_mode(mode).calcs(list(calcs))


def number(title: str, description: str, expr: str, *, neutral: bool = False, empty: str = NO_DATA) -> stat.Panel:
    """A single number. The thresholds color its background, unless it is `neutral`."""
    panel = _with_defaults(stat.Panel(), title, description, [instant_query(expr, title)])
    return (
        panel.no_value(empty)
        .mappings([null_mapping(empty)])
        .color_scheme(color_by(model.FieldColorModeId.THRESHOLDS))
        .color_mode(options.BigValueColorMode.VALUE if neutral else options.BigValueColorMode.BACKGROUND)
        .graph_mode(options.BigValueGraphMode.NONE)
        .justify_mode(options.BigValueJustifyMode.CENTER)
        .text_mode(options.BigValueTextMode.VALUE)
        .reduce_options(_reduce(values=False))
    )


def rows_table(
    title: str,
    description: str,
    exprs: Sequence[str],
    columns: Sequence[Column],
    *,
    sort: str,
    descending: bool = False,
    tie_break: str | None = None,
    keep_other_fields: bool = False,
) -> table.Panel:
    """Instant queries as a table, joined by the labels that they share. `sort` and `tie_break` are column titles.
    Fields without a column are dropped or, with `keep_other_fields`, appended."""
    titles = {each.field: each.title for each in columns}
    hidden = ["Time", *(f"Value #{letter}" for letter, _ in zip(ascii_uppercase, exprs)), "Value"]
    panel = _with_defaults(table.Panel(), title, description, map(table_query, exprs))
    # The value of a single query is called `Value`; merging is for several.
    if len(exprs) > 1:
        panel.with_transformation(_transformation("merge"))
    if not keep_other_fields:
        panel.with_transformation(_transformation("filterFieldsByName", include={"names": list(titles)}))
    if tie_break:
        panel.with_transformation(_sort_by(next(each.field for each in columns if each.title == tie_break)))
    panel.with_transformation(
        _transformation(
            "organize",
            excludeByName={name: True for name in hidden if name not in titles},
            indexByName={name: index for index, name in enumerate(titles)},
            renameByName={name: text for name, text in titles.items() if text != name},
        )
    )
    # The text for an empty table must not appear in empty cells.
    panel.override_by_regexp("/.*/", _properties({"noValue": "–"}))
    for each in columns:
        if each.properties:
            panel.override_by_name(each.title, each.properties)
    return (
        # Any other unit would show strings of digits as numbers: the serial 03 as 3.
        panel.unit("string")
        .color_scheme(color_by(model.FieldColorModeId.THRESHOLDS))
        .align(options.FieldTextAlignment.LEFT)
        .cell_options(options.TableAutoCellOptions())
        .filterable(False)
        .inspect(False)
        .cell_height(options.TableCellHeight.SM)
        .sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    )


def _transformation(id: str, **values: object) -> model.DataTransformerConfig:
    return model.DataTransformerConfig(id, options=values)


def _sort_by(field: str) -> model.DataTransformerConfig:
    return _transformation("sortBy", fields={}, sort=[{"field": field, "desc": False}])


def lines(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    thresholds: Steps | None = None,
    stacked: bool = False,
    stepped: bool = False,
    negative: bool = False,
    colors: Mapping[str, str] | None = None,
    legend_calcs: Sequence[str] = (),
) -> timeseries.Panel:
    """Values over time; a gap means no data. `thresholds` are drawn as lines. `negative`: values can be below 0.
    `colors`: by legend."""
    stacking = options.StackingMode.NORMAL if stacked else options.StackingMode.NONE
    interpolation = options.LineInterpolation.STEP_AFTER if stepped else options.LineInterpolation.LINEAR
    threshold_style = options.GraphThresholdsStyleMode.LINE if thresholds else options.GraphThresholdsStyleMode.OFF
    panel = _with_defaults(timeseries.Panel(), title, description, queries)
    if thresholds:
        panel.thresholds(thresholds)
    if not negative:
        panel.min(0)
    for name, color in (colors or {}).items():
        panel.override_by_name(name, _properties({"color": fixed_color(color)}))
    return (
        panel.color_scheme(color_by(model.FieldColorModeId.PALETTE_CLASSIC))
        .draw_style(options.GraphDrawStyle.LINE)
        .line_interpolation(interpolation)
        .line_width(2)
        .fill_opacity(30 if stacked else 8)
        .show_points(options.VisibilityMode.AUTO)
        .point_size(4)
        .span_nulls(False)
        .stacking(common.StackingConfig().mode(stacking).group("A"))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(threshold_style))
        .legend(_legend(legend_calcs))
        .tooltip(_tooltip(options.TooltipDisplayMode.MULTI, options.SortOrder.DESCENDING))
    )


def count_lines(title: str, description: str, queries: Sequence[Query]) -> timeseries.Panel:
    """Whole numbers over time."""
    return lines(title, description, queries, stepped=True).decimals(0).axis_soft_min(0).axis_soft_max(1)


def state_bands(title: str, description: str, queries: Sequence[Query], texts: Texts) -> statetimeline.Panel:
    """One band per series, with the texts and colors of its values. A gap means that the value was unknown."""
    return (
        _with_defaults(statetimeline.Panel(), title, description, queries)
        # With colors by thresholds, the legend would show their bounds instead of the texts.
        .color_scheme(fixed_color(GRAY))
        .mappings([value_mapping(texts)])
        .fill_opacity(85)
        .line_width(0)
        .row_height(0.85)
        .merge_values(True)
        .align_value(options.TimelineValueAlignment.LEFT)
        .show_value(options.VisibilityMode.AUTO)
        .per_page(20)
        .legend(_legend())
        .tooltip(_tooltip(options.TooltipDisplayMode.SINGLE, options.SortOrder.NONE))
    )


def bar_chart(title: str, description: str, expr: str, *, sort_by: str) -> bargauge.Panel:
    """One vertical bar per series, in the order of the label `sort_by`, which itself is not shown."""
    hide = _transformation("organize", excludeByName={"Time": True, sort_by: True}, indexByName={}, renameByName={})
    return (
        _with_defaults(bargauge.Panel(), title, description, [table_query(expr)])
        .color_scheme(fixed_color(BLUE))
        .min(0)
        .decimals(0)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .orientation(options.VizOrientation.VERTICAL)
        .max_viz_height(40)
        .value_mode(options.BarGaugeValueMode.TEXT)
        .reduce_options(_reduce(values=True))
        .transformations([_sort_by(sort_by), hide])
    )


def pie_chart(title: str, description: str, expr: str, legend: str) -> piechart.Panel:
    query = instant_query(expr, legend).format(PromQueryFormat.TIME_SERIES)
    values = [PieChartLegendValues.VALUE, PieChartLegendValues.PERCENT]
    return (
        _with_defaults(piechart.Panel(), title, description, [query])
        .color_scheme(color_by(model.FieldColorModeId.PALETTE_CLASSIC))
        .pie_type(PieChartType.DONUT)
        .display_labels([])
        .legend(piechart.PieChartLegendOptions().show_legend(True).values(values))
        .tooltip(_tooltip(options.TooltipDisplayMode.SINGLE, options.SortOrder.NONE))
        .reduce_options(_reduce(values=False))
    )
