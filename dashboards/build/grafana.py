"""Grafana's classic dashboard JSON (schemaVersion 39), as far as these dashboards use it. Knows nothing of SMTP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Json = dict[str, Any]

SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
NO_DATA = "no data"
GREY = "#808080"

# Settings of a column whose texts may be long: rather two lines than a cut. Grafana before 12 reads the first.
WRAPPED: Json = {"custom__cellOptions": {"type": "auto", "wrapText": True}, "custom__wrapText": True}


# --- dashboards and variables


def dashboard(
    uid: str,
    title: str,
    description: str,
    since: str,
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
        "time": {"from": since, "to": "now"},
        "refresh": "1m",
        "annotations": {"list": []},
        "links": list(links),
        "templating": {"list": [_datasource(), *variables]},
        "panels": _numbered(rows),
    }


def link(title: str, url: str, tooltip: str) -> Json:
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


def choice(name: str, label: str, query: str, description: str, *, one: bool = False, everything: str = ".*") -> Json:
    """A variable of what Prometheus knows; of several values and All, unless there must be `one`."""
    variable: Json = {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "regex": "",
        "hide": 0,
        "options": [],
        "multi": not one,
        "includeAll": not one,
        "current": {} if one else {"selected": True, "text": ["All"], "value": ["$__all"]},
    }
    if not one:
        variable["allValue"] = everything
    return variable


def word(name: str, label: str, default: str, description: str) -> Json:
    """A variable that is typed in."""
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


def _datasource() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes",
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
    """Panels side by side, each with its width of 24."""
    assert sum(width for width, _ in panels) == 24, "a row is 24 wide"
    return {"height": height, "panels": panels}


def heading(title: str) -> Json:
    return {"heading": title}


def _numbered(rows: Iterable[Json]) -> list[Json]:
    panels: list[Json] = []
    y = 0
    for each in rows:
        if "heading" in each:
            at = {"x": 0, "y": y, "w": 24, "h": 1}
            panels.append(
                {
                    "id": len(panels) + 1,
                    "type": "row",
                    "title": each["heading"],
                    "collapsed": False,
                    "gridPos": at,
                    "panels": [],
                }
            )
            y += 1
            continue
        x = 0
        for width, panel in each["panels"]:
            at = {"x": x, "y": y, "w": width, "h": each["height"]}
            panels.append({"id": len(panels) + 1, **panel, "gridPos": at})
            x += width
        y += each["height"]
    return panels


# --- queries


def now(expr: str, legend: str = "") -> Json:
    """Evaluated once, at the end of the time range."""
    return {"expr": expr, "instant": True, "range": False, "legendFormat": legend or "__auto"}


def rows_now(expr: str) -> Json:
    """As [`now`], a row for each series."""
    return {"expr": expr, "instant": True, "range": False, "format": "table"}


def over_time(expr: str, legend: str) -> Json:
    return {"expr": expr, "instant": False, "range": True, "legendFormat": legend}


def _targets(queries: Sequence[Json]) -> list[Json]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [
        {"refId": letter, "datasource": SOURCE, "editorMode": "code", **query}
        for letter, query in zip(letters, queries)
    ]


# --- looks


def steps(first: str, *rest: tuple[float, str]) -> Json:
    """Colours by value: the first below all bounds."""
    bounds = [{"color": first, "value": None}, *({"color": color, "value": value} for value, color in rest)]
    return {"mode": "absolute", "steps": bounds}


def words(texts: dict[int, tuple[str, str]]) -> list[Json]:
    """Values that are shown as a text and a colour."""
    options = {
        str(value): {"text": text, "color": color, "index": i} for i, (value, (text, color)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def no_value(text: str = "–") -> list[Json]:
    """What is shown for a value that is not known."""
    return [{"type": "special", "options": {"match": "null+nan", "result": {"text": text, "color": GREY, "index": 0}}}]


def fixed(color: str) -> Json:
    return {"mode": "fixed", "fixedColor": color}


def column(field: str, **properties: Any) -> Json:
    """Settings of one field; `__` in a key stands for a dot."""
    return {
        "matcher": {"id": "byName", "options": field},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def to(title: str, url: str) -> list[Json]:
    return [{"title": title, "url": url, "targetBlank": False}]


# --- panels


def _panel(
    kind: str,
    title: str,
    description: str,
    queries: Sequence[Json],
    defaults: Json,
    options: Json,
    overrides: Sequence[Json],
) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": _targets(queries),
        "fieldConfig": {"defaults": {"noValue": NO_DATA, **defaults}, "overrides": list(overrides)},
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
    quiet: bool = False,
    empty: str = NO_DATA,
) -> Json:
    """One number. Its colour is its background, unless it is `quiet`."""
    defaults: Json = {
        "noValue": empty,
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": thresholds or steps("text"),
        "mappings": [*mappings, *no_value(empty)],
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "value" if quiet else "background",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "textMode": "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return _panel("stat", title, description, [now(expr, title)], defaults, options, ())


def table(
    title: str,
    description: str,
    queries: Sequence[Json],
    columns: dict[str, str],
    *,
    sort: str,
    descending: bool = False,
    first_by: str | None = None,
    overrides: Sequence[Json] = (),
    empty: str = NO_DATA,
    keep_rest: bool = False,
) -> Json:
    """Queries joined by the labels that they share. `columns`: fields in order, each with its title; those that are not
    among them are left out, or put last with `keep_rest`. `sort` and `first_by` are titles; rows that are equal by
    `sort` are in the order of `first_by`."""
    hidden = ["Time", *(f"Value #{query['refId']}" for query in _targets(queries)), "Value"]
    organize = {
        "excludeByName": {name: True for name in hidden if name not in columns},
        "indexByName": {name: i for i, name in enumerate(columns)},
        "renameByName": {name: text for name, text in columns.items() if text != name},
    }
    # With one query nothing is joined, and its value is called `Value`.
    transformations: list[Json] = [{"id": "merge", "options": {}}] if len(queries) > 1 else []
    if not keep_rest:
        transformations.append({"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}})
    if first_by:
        field = next(name for name, text in columns.items() if text == first_by)
        transformations.append({"id": "sortBy", "options": {"fields": {}, "sort": [{"field": field, "desc": False}]}})
    transformations.append({"id": "organize", "options": organize})
    # By any other unit, texts of digits would be shown as numbers: a serial of 03 as 3.
    defaults: Json = {
        "noValue": empty,
        "unit": "string",
        "color": {"mode": "thresholds"},
        "thresholds": steps("text"),
        "mappings": [],
        "custom": {"align": "left", "cellOptions": {"type": "auto"}, "filterable": False, "inspect": False},
    }
    options = {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": sort, "desc": descending}]}
    # What the table says when it is empty must not stand in empty cells.
    cells = {"matcher": {"id": "byRegexp", "options": "/.*/"}, "properties": [{"id": "noValue", "value": "–"}]}
    numbers = [column(text, unit="none") for name, text in columns.items() if name.startswith("Value")]
    every = [cells, *numbers, *overrides]
    return {
        **_panel("table", title, description, queries, defaults, options, every),
        "transformations": transformations,
    }


def lines(
    title: str,
    description: str,
    queries: Sequence[Json],
    *,
    unit: str,
    thresholds: Json | None = None,
    bars: bool = False,
    stacked: bool = False,
    stepped: bool = False,
    minimum: float | None = 0,
    maximum: float | None = None,
    decimals: int | None = None,
    reach: Sequence[float] = (),
    overrides: Sequence[Json] = (),
    calcs: Sequence[str] = (),
    empty: str = NO_DATA,
) -> Json:
    """Values over time. A gap is a time without data. `reach`: what the axis shows at least."""
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "stepAfter" if stepped else "linear",
        "lineWidth": 0 if bars else 2,
        "fillOpacity": 70 if bars else (30 if stacked else 8),
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
        "mappings": [],
        "custom": custom,
    }
    if reach:
        custom["axisSoftMin"], custom["axisSoftMax"] = reach
    for key, value in (("min", minimum), ("max", maximum), ("decimals", decimals)):
        if value is not None:
            defaults[key] = value
    legend = {
        "showLegend": True,
        "displayMode": "table" if calcs else "list",
        "placement": "bottom",
        "calcs": list(calcs),
    }
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return _panel("timeseries", title, description, queries, defaults, options, overrides)


def states(
    title: str,
    description: str,
    queries: Sequence[Json],
    texts: dict[int, tuple[str, str]],
    *,
    show: str = "auto",
    empty: str = NO_DATA,
) -> Json:
    """A band for each series, coloured by `texts`. A gap is a time at which nothing was known."""
    # Colours come from the mappings: by thresholds, Grafana would show bounds where it merges equal values.
    defaults = {
        "noValue": empty,
        "unit": "none",
        "color": fixed(GREY),
        "thresholds": steps("text"),
        "mappings": words(texts),
        "custom": {"fillOpacity": 85, "lineWidth": 0},
    }
    options = {
        "alignValue": "left",
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"},
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": show,
        "perPage": 20,
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel("state-timeline", title, description, queries, defaults, options, ())


def bars(
    title: str,
    description: str,
    queries: Sequence[Json],
    *,
    unit: str = "none",
    horizontal: bool,
    color: str = "blue",
    transformations: Sequence[Json] = (),
) -> Json:
    """A bar for each row of a table: its text, its number."""
    defaults = {
        "unit": unit,
        "color": fixed(color),
        "thresholds": steps("text"),
        "mappings": [],
        "min": 0,
        "decimals": 0,
    }
    options = {
        "displayMode": "basic",
        "orientation": "horizontal" if horizontal else "vertical",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizHeight": 16,
        "minVizWidth": 8,
        "maxVizHeight": 40,
        "valueMode": "text",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": True},
    }
    return {
        **_panel("bargauge", title, description, queries, defaults, options, ()),
        "transformations": list(transformations),
    }


def shares(title: str, description: str, queries: Sequence[Json], overrides: Sequence[Json] = ()) -> Json:
    """A pie."""
    defaults = {"unit": "none", "color": {"mode": "palette-classic"}, "thresholds": steps("text"), "mappings": []}
    options = {
        "pieType": "donut",
        "displayLabels": [],
        "sort": "desc",
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "values": ["value", "percent"]},
        "tooltip": {"mode": "single", "sort": "none"},
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return _panel("piechart", title, description, queries, defaults, options, overrides)
