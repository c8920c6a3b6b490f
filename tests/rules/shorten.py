"""Makes rules that act within seconds out of those that are shipped: `shorten.py RULES OUT [--factor 60]`.

Divided by the factor is what Prometheus itself reads as a duration: `for`, `keep_firing_for`, a group's `interval` and
`query_offset`, and in all expressions, those of the annotations' queries included, ranges (`[10m]`), subqueries
(`[1h:5m]`) and `offset`. Numbers of seconds stay: they are compared with the age of certificates (21 days, a share of
a lifetime, seen within a day), with the config's intervals, and with the slack of RoundsStale.

A duration in any other place, and a key or a query that is not known, is refused: rules that are half short would act
in ways that the shipped ones do not. The outcome is held against what it was made from before it is written.
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

# What PromQL is made of, as far as it takes to tell a duration from all else.
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


class Fault(Exception):
    """What is not understood."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="shorten.py", description="Divides the durations of Prometheus's rules.")
    parser.add_argument("rules", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--factor", type=int, default=FACTOR)
    arguments = parser.parse_args()
    long = yaml.safe_load(arguments.rules.read_text(encoding="utf-8"))
    try:
        short = shortened(long, arguments.factor)
        divided = compared(long, short, arguments.factor)
    except Fault as fault:
        print(f"{arguments.rules}: {fault}", file=sys.stderr)
        return 1
    text = yaml.safe_dump(short, sort_keys=False, allow_unicode=True, width=120)
    arguments.out.write_text(text, encoding="utf-8")
    print(f"{arguments.out}: {divided} durations divided by {arguments.factor}")
    return 0


def shortened(rules: Any, factor: int = FACTOR) -> Any:
    """What a file of rules holds, with its durations divided."""
    unknown = rules.keys() - {"groups"}
    if unknown:
        raise Fault(f"keys that are not known: {sorted(unknown)}")
    return {"groups": [_group(group, factor) for group in rules["groups"]]}


def divided(duration: object, factor: int = FACTOR) -> str:
    """One duration as Prometheus writes them."""
    if not isinstance(duration, str) or not re.fullmatch(DURATION, duration):
        raise Fault(f"{duration!r} is no duration")
    whole = milliseconds(duration)
    if whole % factor:
        raise Fault(f"{duration} by {factor} is no whole number of milliseconds")
    rest = whole // factor
    text = ""
    for unit, size in UNITS.items():
        if rest >= size:
            text += f"{rest // size}{unit}"
            rest %= size
    return text or "0s"


def milliseconds(duration: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def expression(promql: str, factor: int = FACTOR) -> str:
    """An expression with its ranges and offsets divided."""
    text = ""
    # A range goes from its bracket to the other; an offset is a word with its duration after it.
    in_range = after_offset = False
    at = 0
    while at < len(promql):
        token = TOKENS.match(promql, at)
        if token is None:
            raise Fault(f"{_excerpt(promql, at)}: what is this?")
        kind, part = token.lastgroup, token[0]
        if kind == "duration":
            if not (in_range or after_offset):
                raise Fault(f"{_excerpt(promql, at)}: {part} is neither range nor offset")
            part = divided(part, factor)
        elif in_range and kind != "space" and part not in (":", "]"):
            raise Fault(f"{_excerpt(promql, at)}: {part} in a range")
        elif after_offset and kind != "space" and part not in ("-", "+"):
            raise Fault(f"{_excerpt(promql, at)}: {part} for an offset")
        if kind not in ("space", "comment"):
            in_range = part == "[" or (in_range and part != "]")
            after_offset = part == "offset" or (after_offset and part in ("-", "+"))
        text += part
        at = token.end()
    if in_range or after_offset:
        raise Fault(f"{_excerpt(promql, at)}: a range or an offset without an end")
    return text


def template(text: str, factor: int = FACTOR) -> str:
    """A template with the ranges of its queries divided; what it says in words stays."""
    for action in ACTION.findall(text):
        beside = QUERY.sub("", action)
        # `query` in a string is a word.
        if re.search(r"\bquery\b", re.sub(GO_STRING, "", beside, flags=re.DOTALL)):
            raise Fault(f"{action}: a query whose expression is not here")
        if re.search(rf"\[\s*{DURATION}", beside):
            raise Fault(f"{action}: a range in what is no query")
    return ACTION.sub(lambda action: QUERY.sub(lambda query: _query(query, factor), action[0]), text)


def compared(long: Any, short: Any, factor: int = FACTOR) -> int:
    """Holds what was made against what it was made from, by other means: text by text there must be the same durations,
    by the factor apart (prose may keep its own), and no other difference. The number of those that were divided."""
    count = 0
    texts, others = list(_texts(long, "")), list(_texts(short, ""))
    for (place, text), (other_place, other) in zip(texts, others, strict=True):
        if (place, _without_durations(text)) != (other_place, _without_durations(other)):
            raise Fault(f"{place}: differs in more than durations: {other}")
        for before, after in zip(_durations(text), _durations(other), strict=True):
            if milliseconds(before) == milliseconds(after) * factor:
                count += 1
            elif before != after or not place.startswith("annotations."):
                raise Fault(f"{place}: {before} became {after}")
    return count


def _group(group: dict[str, Any], factor: int) -> dict[str, Any]:
    unknown = group.keys() - GROUP_DURATIONS - GROUP_REST
    if unknown:
        raise Fault(f"group {group.get('name')}: keys that are not known: {sorted(unknown)}")
    short = {key: divided(value, factor) if key in GROUP_DURATIONS else value for key, value in group.items()}
    short["rules"] = [_rule(rule, factor) for rule in group["rules"]]
    return short


def _rule(rule: dict[str, Any], factor: int) -> dict[str, Any]:
    name = rule.get("alert") or rule.get("record")
    unknown = rule.keys() - RULE_DURATIONS - RULE_REST
    if unknown:
        raise Fault(f"{name}: keys that are not known: {sorted(unknown)}")
    short = dict(rule)
    try:
        for key in RULE_DURATIONS & rule.keys():
            short[key] = divided(rule[key], factor)
        short["expr"] = expression(rule["expr"], factor)
        for key in {"labels", "annotations"} & rule.keys():
            short[key] = {label: template(text, factor) for label, text in rule[key].items()}
    except Fault as fault:
        raise Fault(f"{name}: {fault}") from fault
    return short


def _query(query: re.Match[str], factor: int) -> str:
    quoted = query["string"]
    if quoted.startswith("`"):
        return f"{query['head']}`{expression(quoted[1:-1], factor)}`"
    try:
        # Of Go's escapes those that JSON has, too.
        promql = json.loads(quoted, strict=False)
    except ValueError as error:
        raise Fault(f"{quoted}: {error}") from error
    short = expression(promql, factor)
    return query[0] if short == promql else query["head"] + json.dumps(short, ensure_ascii=False)


def _texts(value: Any, place: str) -> Any:
    """All that a structure holds, each with its key and that above it, in order."""
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
