"""What `shorten.py` divides, what it leaves and what it refuses: a table of each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from shorten import Fault, compared, divided, expression, shortened, template

Function = Callable[[str], str]

DIVIDED: list[tuple[Function, str, str]] = [
    (divided, "5m", "5s"),
    (divided, "1d", "24m"),
    (divided, "1h30m", "1m30s"),
    (divided, "30s", "500ms"),
    (divided, "0s", "0s"),
    (expression, "max_over_time(up[10m]) == 0", "max_over_time(up[10s]) == 0"),
    (expression, "rate(up[ 1h : 5m ] offset -1d)", "rate(up[ 1m : 5s ] offset -24m)"),
    (expression, "up[1h:]", "up[1m:]"),
    (expression, "a:b:max10m == 1 # as [5m] does", "a:b:max10m == 1 # as [5m] does"),
    (expression, 'up{job=~"[0-9]5m[10m]",a="\\"[5m]"}[5m]', 'up{job=~"[0-9]5m[10m]",a="\\"[5m]"}[5s]'),
    (expression, "x > time() - 86400 + 1.5e3 - .5", "x > time() - 86400 + 1.5e3 - .5"),
    (template, "for 5m, says {{ $value }}", "for 5m, says {{ $value }}"),
    (
        template,
        '{{ range query (printf "x{a=%q,b=\\"c\\"}[2h]" $labels.a) }}{{ "2h" }}{{ end }}',
        '{{ range query (printf "x{a=%q,b=\\"c\\"}[2m]" $labels.a) }}{{ "2h" }}{{ end }}',
    ),
    (template, "{{ query `x[1h]` | first }}", "{{ query `x[1m]` | first }}"),
    (template, '{{ "a query" }}', '{{ "a query" }}'),
]

REFUSED: list[tuple[Function, str, str]] = [
    (divided, "five", "is no duration"),
    (divided, "5", "is no duration"),
    (divided, "1ms", "no whole number"),
    (expression, "time() - x > 5m", "neither range nor offset"),
    (expression, "x[5]", "5 in a range"),
    (expression, "x[$__range]", "$ in a range"),
    (expression, "x[1h", "without an end"),
    (expression, "x offset y", "y for an offset"),
    (expression, "x[5parsecs]", "what is this?"),
    (expression, 'x{a="b', "what is this?"),
    (template, "{{ range query $expression }}", "whose expression is not here"),
    (template, '{{ $x := "up[5m]" }}{{ query $x }}', "a range in what is no query"),
    (template, '{{ query "\\a" }}', "escape"),
]

RULE = {"alert": "A", "expr": "x[1m]", "for": "5m", "annotations": {"description": "since 1h"}}


def main() -> int:
    complaints = [complaint for row in DIVIDED for complaint in judge_divided(*row)]
    complaints += [complaint for row in REFUSED for complaint in judge_refused(*row)]
    complaints += judge_structures()
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


def judge_divided(function: Function, text: str, expected: str) -> list[str]:
    try:
        found = function(text)
    except Fault as fault:
        found = f"refused: {fault}"
    return [] if found == expected else [f"{function.__name__} {text!r}: {found!r}, expected is {expected!r}"]


def judge_refused(function: Function, text: str, reason: str) -> list[str]:
    try:
        found = function(text)
    except Fault as fault:
        found = str(fault)
        if reason in found:
            return []
    return [f"{function.__name__} {text!r}: {found!r}, expected is a refusal: {reason}"]


def judge_structures() -> list[str]:
    long = rules(RULE)
    short = shortened(long)
    complaints = []
    expected = rules(RULE | {"expr": "x[1s]", "for": "5s"})
    if short != expected:
        complaints.append(f"{short}, expected is {expected}")
    if compared(long, short) != 2:
        complaints.append("two durations were divided, and not counted so")

    def refused(what: str, of: Callable[[], object]) -> None:
        try:
            of()
        except (Fault, ValueError):
            return
        complaints.append(f"accepted: {what}")

    refused("a rule's unknown key", lambda: shortened(rules(RULE | {"keep": "5m"})))
    refused("a group's unknown key", lambda: shortened({"groups": [{"name": "g", "rules": [], "every": "5m"}]}))
    refused("a file's unknown key", lambda: shortened({"groups": [], "for": "5m"}))
    for wrong in (
        {"for": "6s"},
        {"for": "5m"},
        {"alert": "B"},
        {"expr": "y[1s]"},
        {"expr": "x[1m]"},
        {"annotations": {"description": "since 2h"}},
        {"labels": {"severity": "info"}},
    ):
        changed = shortened(rules(RULE))
        changed["groups"][0]["rules"][0] |= wrong
        refused(f"{wrong} after {RULE}", partial(compared, long, changed))
    refused("a rule too few", lambda: compared(long, shortened({"groups": [{"name": "g", "rules": []}]})))
    return complaints


def rules(rule: dict[str, Any]) -> dict[str, Any]:
    return {"groups": [{"name": "g", "rules": [rule]}]}


if __name__ == "__main__":
    sys.exit(main())
