"""Grafana's classic dashboard JSON (schemaVersion 39), limited to what these dashboards use. Nothing here is specific
to SMTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]

DATA_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
NO_DATA = "no data"

GREEN, ORANGE, RED, BLUE, GRAY = "green", "orange", "red", "blue", "#808080"

# Cell types of table columns.
COLORED_TEXT: Json = {"type": "color-text"}
COLORED_BACKGROUND: Json = {"type": "color-background", "mode": "basic"}
GAUGE: Json = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}


# --- dashboards and variables


def dashboard(
    *,
    uid: str,
    title: str,
    description: str,
    time_from: str,
    links: Sequence[Json],
    variables: Sequence[Json],
    rows: Iterable[Json],
) -> Json:
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["smtp-tls"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": time_from, "to": "now"},
        "refresh": "1m",
        "annotations": {"list": []},
        "links": list(links),
        "templating": {"list": [_data_source_variable(), *variables]},
        "panels": _place(rows),
    }


def dashboard_link(title: str, url: str, tooltip: str) -> Json:
    return {
        "type": "link",
        "title": title,
        "url": url,
        "tooltip": tooltip,
        "icon": "dashboard",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
    }


def query_variable(
    name: str, label: str, query: str, description: str, *, multi: bool = True, all_value: str = ".*"
) -> Json:
    """A variable whose values come from Prometheus. With `multi` it takes several values, or All."""
    variable: Json = {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": DATA_SOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "regex": "",
        "hide": 0,
        "options": [],
        "multi": multi,
        "includeAll": multi,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if multi else {},
    }
    if multi:
        variable["allValue"] = all_value
    return variable


def textbox_variable(name: str, label: str, default: str, description: str) -> Json:
    current = {"selected": True, "text": default, "value": default}
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "description": description,
        "query": default,
        "hide": 0,
        "current": current,
        "options": [current],
    }


def _data_source_variable() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "description": "Prometheus data source that has the exporter's metrics",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "options": [],
        "current": {},
    }


# --- layout


def row(height: int, *panels: tuple[int, Json]) -> Json:
    """Panels side by side, each with its width in grid columns."""
    assert sum(width for width, _ in panels) == 24, "the grid has 24 columns"
    return {"height": height, "panels": panels}


def row_header(title: str) -> Json:
    header = {"type": "row", "title": title, "collapsed": False, "panels": []}
    return {"height": 1, "panels": [(24, header)]}


def _place(rows: Iterable[Json]) -> list[Json]:
    """Gives each panel its id and its position on the grid."""
    panels: list[Json] = []
    y = 0
    for each in rows:
        x = 0
        for width, panel in each["panels"]:
            position = {"x": x, "y": y, "w": width, "h": each["height"]}
            panels.append({"id": len(panels) + 1, **panel, "gridPos": position})
            x += width
        y += each["height"]
    return panels


# --- queries


def instant_query(expr: str, legend: str = "__auto", *, format: str | None = None) -> Json:
    """A query that is evaluated once, at the end of the time range."""
    query: Json = {"expr": expr, "instant": True, "range": False, "legendFormat": legend}
    return query if format is None else {**query, "format": format}


def table_query(expr: str) -> Json:
    """An instant query with one row per series."""
    return {"expr": expr, "instant": True, "range": False, "format": "table"}


def range_query(expr: str, legend: str) -> Json:
    return {"expr": expr, "instant": False, "range": True, "legendFormat": legend}


def max_and_median(expr: str) -> list[Json]:
    return [range_query(f"max({expr})", "max"), range_query(f"quantile(0.5, {expr})", "median")]


def _targets(queries: Sequence[Json]) -> list[Json]:
    return [
        {"refId": letter, "datasource": DATA_SOURCE, "editorMode": "code", **query}
        for letter, query in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", queries)
    ]


# --- thresholds, value mappings, columns


def steps(base: str, *bounds: tuple[float, str]) -> Json:
    """Thresholds: the base color, then the color from each bound on."""
    above = [{"color": color, "value": value} for value, color in bounds]
    return {"mode": "absolute", "steps": [{"color": base, "value": None}, *above]}


def value_mappings(texts: Mapping[int, tuple[str, str]]) -> list[Json]:
    """The text and color of each value."""
    options = {
        str(value): {"text": text, "color": color, "index": i} for i, (value, (text, color)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def null_mapping(text: str = "–") -> list[Json]:
    """The text for an unknown value."""
    return [{"type": "special", "options": {"match": "null+nan", "result": {"text": text, "color": GRAY, "index": 0}}}]


def fixed_color(color: str) -> Json:
    return {"mode": "fixed", "fixedColor": color}


def data_link(title: str, url: str) -> list[Json]:
    return [{"title": title, "url": url, "targetBlank": False}]


_PROPERTY_IDS = {
    "width": "custom.width",
    "min_width": "custom.minWidth",
    "cell": "custom.cellOptions",
    "hidden": "custom.hidden",
}


def column(field: str, title: str, *, wrap: bool = False, **properties: Any) -> Json:
    """A table column: the field it shows, its title, and its field settings. `wrap` is for long texts, which would be
    cut off otherwise."""
    settings: Json = {"unit": "none"} if field.startswith("Value") else {}
    settings |= {_PROPERTY_IDS.get(key, key): value for key, value in properties.items()}
    if wrap:
        # Grafana before version 12 reads the first, later versions the second.
        settings |= {"custom.cellOptions": {"type": "auto", "wrapText": True}, "custom.wrapText": True}
    return {"field": field, "title": title, "override": _override("byName", title, settings)}


def _override(matcher: str, options: str, settings: Json) -> Json:
    return {
        "matcher": {"id": matcher, "options": options},
        "properties": [{"id": id, "value": value} for id, value in settings.items()],
    }


# --- panels


def _panel(
    type: str,
    title: str,
    description: str,
    queries: Sequence[Json],
    *,
    defaults: Json,
    options: Json,
    overrides: Sequence[Json] = (),
) -> Json:
    base: Json = {"noValue": NO_DATA, "unit": "none", "thresholds": steps("text"), "mappings": []}
    return {
        "type": type,
        "title": title,
        "description": description,
        "datasource": DATA_SOURCE,
        "targets": _targets(queries),
        "fieldConfig": {"defaults": {**base, **defaults}, "overrides": list(overrides)},
        "options": options,
    }


def stat(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "none",
    thresholds: Json | None = None,
    mappings: Sequence[Json] = (),
    decimals: int | None = None,
    neutral: bool = False,
    empty: str = NO_DATA,
) -> Json:
    """A single number. The thresholds color its background, unless it is `neutral`."""
    defaults: Json = {
        "noValue": empty,
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": thresholds or steps("text"),
        "mappings": [*mappings, *null_mapping(empty)],
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "value" if neutral else "background",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "textMode": "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return _panel("stat", title, description, [instant_query(expr, title)], defaults=defaults, options=options)


def table(
    title: str,
    description: str,
    exprs: Sequence[str],
    columns: Sequence[Json],
    *,
    sort: str,
    descending: bool = False,
    tie_break: str | None = None,
    empty: str = NO_DATA,
    keep_other_fields: bool = False,
) -> Json:
    """Instant queries as a table, joined by the labels that they share. `sort` and `tie_break` are column titles.
    Fields without a column are dropped or, with `keep_other_fields`, appended."""
    queries = [table_query(expr) for expr in exprs]
    titles: dict[str, str] = {each["field"]: each["title"] for each in columns}
    hidden = ["Time", *(f"Value #{query['refId']}" for query in _targets(queries)), "Value"]
    organize = {
        "excludeByName": {name: True for name in hidden if name not in titles},
        "indexByName": {name: i for i, name in enumerate(titles)},
        "renameByName": {name: text for name, text in titles.items() if text != name},
    }
    # The value of a single query is called `Value`; merging is for several.
    transformations: list[Json] = [{"id": "merge", "options": {}}] if len(queries) > 1 else []
    if not keep_other_fields:
        transformations.append({"id": "filterFieldsByName", "options": {"include": {"names": list(titles)}}})
    if tie_break:
        field = next(name for name, text in titles.items() if text == tie_break)
        transformations.append({"id": "sortBy", "options": {"fields": {}, "sort": [{"field": field, "desc": False}]}})
    transformations.append({"id": "organize", "options": organize})
    defaults: Json = {
        "noValue": empty,
        # Any other unit would show strings of digits as numbers: the serial 03 as 3.
        "unit": "string",
        "color": {"mode": "thresholds"},
        "custom": {"align": "left", "cellOptions": {"type": "auto"}, "filterable": False, "inspect": False},
    }
    options = {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": sort, "desc": descending}]}
    # The text for an empty table must not appear in empty cells.
    cells = _override("byRegexp", "/.*/", {"noValue": "–"})
    overrides = [cells, *(each["override"] for each in columns if each["override"]["properties"])]
    return {
        **_panel("table", title, description, queries, defaults=defaults, options=options, overrides=overrides),
        "transformations": transformations,
    }


def timeseries(
    title: str,
    description: str,
    queries: Sequence[Json],
    *,
    unit: str,
    thresholds: Json | None = None,
    stacked: bool = False,
    stepped: bool = False,
    minimum: float | None = 0,
    maximum: float | None = None,
    decimals: int | None = None,
    soft_range: Sequence[float] = (),
    colors: Mapping[str, str] | None = None,
    legend_calcs: Sequence[str] = (),
    empty: str = NO_DATA,
) -> Json:
    """Values over time; a gap means no data. The axis covers at least `soft_range`. `colors`: by legend."""
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter" if stepped else "linear",
        "lineWidth": 2,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "auto",
        "pointSize": 4,
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if thresholds else "off"},
    }
    defaults: Json = {
        "noValue": empty,
        "unit": unit,
        "color": {"mode": "palette-classic"},
        "thresholds": thresholds or steps("text"),
        "custom": custom,
    }
    if soft_range:
        custom["axisSoftMin"], custom["axisSoftMax"] = soft_range
    for key, value in (("min", minimum), ("max", maximum), ("decimals", decimals)):
        if value is not None:
            defaults[key] = value
    legend = {
        "showLegend": True,
        "displayMode": "table" if legend_calcs else "list",
        "placement": "bottom",
        "calcs": list(legend_calcs),
    }
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    overrides = [_override("byName", name, {"color": fixed_color(color)}) for name, color in (colors or {}).items()]
    return _panel("timeseries", title, description, queries, defaults=defaults, options=options, overrides=overrides)


def count_timeseries(
    title: str, description: str, queries: Sequence[Json], colors: Mapping[str, str] | None = None
) -> Json:
    """Whole numbers over time."""
    return timeseries(
        title, description, queries, unit="none", decimals=0, stepped=True, soft_range=(0, 1), colors=colors
    )


def state_timeline(
    title: str,
    description: str,
    queries: Sequence[Json],
    texts: Mapping[int, tuple[str, str]],
    *,
    show_value: str = "auto",
    empty: str = NO_DATA,
) -> Json:
    """One band per series, with the texts and colors of its values. A gap means that the value was unknown."""
    defaults = {
        "noValue": empty,
        # With colors by thresholds, the legend would show their bounds instead of the texts.
        "color": fixed_color(GRAY),
        "mappings": value_mappings(texts),
        "custom": {"fillOpacity": 85, "lineWidth": 0},
    }
    options = {
        "alignValue": "left",
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"},
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": show_value,
        "perPage": 20,
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel("state-timeline", title, description, queries, defaults=defaults, options=options)


def bar_chart(title: str, description: str, expr: str, *, sort_by: str) -> Json:
    """One vertical bar per series, in the order of the label `sort_by`, which itself is not shown."""
    defaults = {"color": fixed_color(BLUE), "min": 0, "decimals": 0}
    options = {
        "displayMode": "basic",
        "orientation": "vertical",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizHeight": 16,
        "minVizWidth": 8,
        "maxVizHeight": 40,
        "valueMode": "text",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": True},
    }
    hide = {"excludeByName": {"Time": True, sort_by: True}, "indexByName": {}, "renameByName": {}}
    return {
        **_panel("bargauge", title, description, [table_query(expr)], defaults=defaults, options=options),
        "transformations": [
            {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": sort_by, "desc": False}]}},
            {"id": "organize", "options": hide},
        ],
    }


def pie_chart(title: str, description: str, expr: str, legend: str) -> Json:
    defaults = {"color": {"mode": "palette-classic"}}
    options = {
        "pieType": "donut",
        "displayLabels": [],
        "sort": "desc",
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "values": ["value", "percent"]},
        "tooltip": {"mode": "single", "sort": "none"},
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    queries = [instant_query(expr, legend, format="time_series")]
    return _panel("piechart", title, description, queries, defaults=defaults, options=options)
