"""Divides the durations in a rules file, so that alerts fire within seconds: `shorten.py RULES OUT [--factor 60]`.

The durations are those that Prometheus parses as such: `for`, `keep_firing_for`, `interval` and `query_offset` of a
group, and ranges (`[10m]`), subqueries (`[1h:5m]`) and `offset` in all expressions, including the queries in
annotations. Numbers of seconds are kept: they are compared with the age of certificates, with intervals of the
exporter's configuration, and with the tolerance of SmtpTlsRoundsStale.

A duration in any other place, an unknown key and an unknown form of query are errors: partly shortened rules would
behave differently from the original ones. The result is compared with the original before it is written.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

FACTOR = 60

UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
DURATION = r"\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*"

GROUP_DURATIONS = {"interval", "query_offset"}
GROUP_REST = {"name", "limit", "rules"}
RULE_DURATIONS = {"for", "keep_firing_for"}
RULE_REST = {"alert", "record", "expr", "labels", "annotations"}

# Tokens of PromQL, in enough detail to distinguish durations.
TOKENS = re.compile(
    rf"""
      (?P<comment>\#[^\n]*)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    | (?P<word>[a-zA-Z_:][\w:]*)
    | (?P<duration>{DURATION})(?!\w)
    | (?P<number>0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?!\w)
    | (?P<space>\s+)
    | (?P<sign>[^\w"'`])
    """,
    re.VERBOSE,
)
ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
GO_STRING = r'"(?:[^"\\]|\\.)*"|`[^`]*`'
QUERY = re.compile(rf"(?P<head>\bquery\s+(?:\(\s*printf\s+)?)(?P<string>{GO_STRING})", re.DOTALL)


class ShortenError(Exception):
    """The rules contain something that cannot be shortened."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="shorten.py", description="Divide the durations in a Prometheus rules file.")
    parser.add_argument("rules", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--factor", type=int, default=FACTOR)
    arguments = parser.parse_args()
    rules = yaml.safe_load(arguments.rules.read_text(encoding="utf-8"))
    try:
        short = shorten(rules, arguments.factor)
        count = compare(rules, short, arguments.factor)
    except ShortenError as error:
        print(f"{arguments.rules}: {error}", file=sys.stderr)
        return 1
    text = yaml.safe_dump(short, sort_keys=False, allow_unicode=True, width=120)
    arguments.out.write_text(text, encoding="utf-8")
    print(f"{arguments.out}: {count} durations divided by {arguments.factor}")
    return 0


def shorten(rules: Any, factor: int = FACTOR) -> Any:
    """Returns the content of a rules file with its durations divided."""
    unknown = rules.keys() - {"groups"}
    if unknown:
        raise ShortenError(f"unknown keys: {sorted(unknown)}")
    return {"groups": [_shorten_group(group, factor) for group in rules["groups"]]}


def divide(duration: object, factor: int = FACTOR) -> str:
    """Divides a single duration."""
    if not isinstance(duration, str) or not re.fullmatch(DURATION, duration):
        raise ShortenError(f"invalid duration {duration!r}")
    total = milliseconds(duration)
    if total % factor:
        raise ShortenError(f"{duration} divided by {factor} is not a whole number of milliseconds")
    rest = total // factor
    text = ""
    for unit, size in UNITS.items():
        if rest >= size:
            text += f"{rest // size}{unit}"
            rest %= size
    return text or "0s"


def milliseconds(duration: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def shorten_expression(promql: str, factor: int = FACTOR) -> str:
    """Divides the ranges and offsets of an expression."""
    text = ""
    in_range = after_offset = False
    at = 0
    while at < len(promql):
        token = TOKENS.match(promql, at)
        if token is None:
            raise ShortenError(f"{_excerpt(promql, at)}: unknown token")
        kind, part = token.lastgroup, token[0]
        if kind == "duration":
            if not (in_range or after_offset):
                raise ShortenError(f"{_excerpt(promql, at)}: {part} is neither a range nor an offset")
            part = divide(part, factor)
        elif in_range and kind != "space" and part not in (":", "]"):
            raise ShortenError(f"{_excerpt(promql, at)}: unexpected {part} in a range")
        elif after_offset and kind != "space" and part not in ("-", "+"):
            raise ShortenError(f"{_excerpt(promql, at)}: unexpected {part} after offset")
        if kind not in ("space", "comment"):
            in_range = part == "[" or (in_range and part != "]")
            after_offset = part == "offset" or (after_offset and part in ("-", "+"))
        text += part
        at = token.end()
    if in_range or after_offset:
        raise ShortenError(f"{_excerpt(promql, at)}: unterminated range or offset")
    return text


def shorten_template(text: str, factor: int = FACTOR) -> str:
    """Divides the ranges in the queries of a template. Durations in its text are kept."""
    for action in ACTION.findall(text):
        beside = QUERY.sub("", action)
        # `query` inside a string is not a call.
        if re.search(r"\bquery\b", re.sub(GO_STRING, "", beside, flags=re.DOTALL)):
            raise ShortenError(f"{action}: the argument of query is not a string literal")
        if re.search(rf"\[\s*{DURATION}", beside):
            raise ShortenError(f"{action}: a range outside of a query")
    return ACTION.sub(lambda action: QUERY.sub(lambda query: _shorten_query(query, factor), action[0]), text)


def compare(original: Any, short: Any, factor: int = FACTOR) -> int:
    """Compares the result with the original, independently of the code that made it, and returns the number of divided
    durations. Texts may differ only in durations, and only by the factor; those in annotations may also be equal."""
    count = 0
    texts, others = list(_texts(original, "")), list(_texts(short, ""))
    for (place, text), (other_place, other) in zip(texts, others, strict=True):
        if (place, _without_durations(text)) != (other_place, _without_durations(other)):
            raise ShortenError(f"{place}: not only durations differ: {other}")
        for before, after in zip(_durations(text), _durations(other), strict=True):
            if milliseconds(before) == milliseconds(after) * factor:
                count += 1
            elif before != after or not place.startswith("annotations."):
                raise ShortenError(f"{place}: {before} became {after}")
    return count


def _shorten_group(group: dict[str, Any], factor: int) -> dict[str, Any]:
    unknown = group.keys() - GROUP_DURATIONS - GROUP_REST
    if unknown:
        raise ShortenError(f"group {group.get('name')}: unknown keys: {sorted(unknown)}")
    short = {key: divide(value, factor) if key in GROUP_DURATIONS else value for key, value in group.items()}
    short["rules"] = [_shorten_rule(rule, factor) for rule in group["rules"]]
    return short


def _shorten_rule(rule: dict[str, Any], factor: int) -> dict[str, Any]:
    name = rule.get("alert") or rule.get("record")
    unknown = rule.keys() - RULE_DURATIONS - RULE_REST
    if unknown:
        raise ShortenError(f"{name}: unknown keys: {sorted(unknown)}")
    short = dict(rule)
    try:
        for key in RULE_DURATIONS & rule.keys():
            short[key] = divide(rule[key], factor)
        short["expr"] = shorten_expression(rule["expr"], factor)
        for key in {"labels", "annotations"} & rule.keys():
            short[key] = {label: shorten_template(text, factor) for label, text in rule[key].items()}
    except ShortenError as error:
        raise ShortenError(f"{name}: {error}") from error
    return short


def _shorten_query(query: re.Match[str], factor: int) -> str:
    quoted = query["string"]
    if quoted.startswith("`"):
        return f"{query['head']}`{shorten_expression(quoted[1:-1], factor)}`"
    try:
        # Only the escape sequences that Go and JSON have in common are supported.
        promql = json.loads(quoted, strict=False)
    except ValueError as error:
        raise ShortenError(f"{quoted}: {error}") from error
    short = shorten_expression(promql, factor)
    return query[0] if short == promql else query["head"] + json.dumps(short, ensure_ascii=False)


def _texts(value: Any, place: str) -> Any:
    """Yields all scalar values of a structure in order, each with its key and its parent key."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(each, f"{place.rpartition('.')[2]}.{key}".lstrip("."))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, place)
    else:
        yield place, str(value)


def _durations(text: str) -> list[str]:
    return re.findall(rf"(?<![\w.:]){DURATION}(?!\w)", text)


def _without_durations(text: str) -> str:
    return re.sub(rf"(?<![\w.:]){DURATION}(?!\w)", "…", text)


def _excerpt(text: str, at: int) -> str:
    return " ".join(text[max(0, at - 40) : at + 20].split())


if __name__ == "__main__":
    sys.exit(main())
