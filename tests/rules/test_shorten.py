"""Unit tests of `shorten.py`: inputs with the expected result, and inputs with the expected error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from shorten import ShortenError, compare, divide, shorten, shorten_expression, shorten_template

Function = Callable[[str], str]

SHORTENED: list[tuple[Function, str, str]] = [
    (divide, "5m", "5s"),
    (divide, "1d", "24m"),
    (divide, "1h30m", "1m30s"),
    (divide, "30s", "500ms"),
    (divide, "0s", "0s"),
    (shorten_expression, "max_over_time(up[10m]) == 0", "max_over_time(up[10s]) == 0"),
    (shorten_expression, "rate(up[ 1h : 5m ] offset -1d)", "rate(up[ 1m : 5s ] offset -24m)"),
    (shorten_expression, "up[1h:]", "up[1m:]"),
    (shorten_expression, "a:b:max10m == 1 # as [5m] does", "a:b:max10m == 1 # as [5m] does"),
    (shorten_expression, 'up{job=~"[0-9]5m[10m]",a="\\"[5m]"}[5m]', 'up{job=~"[0-9]5m[10m]",a="\\"[5m]"}[5s]'),
    (shorten_expression, "x > time() - 86400 + 1.5e3 - .5", "x > time() - 86400 + 1.5e3 - .5"),
    (shorten_template, "for 5m: {{ $value }}", "for 5m: {{ $value }}"),
    (
        shorten_template,
        '{{ range query (printf "x{a=%q,b=\\"c\\"}[2h]" $labels.a) }}{{ "2h" }}{{ end }}',
        '{{ range query (printf "x{a=%q,b=\\"c\\"}[2m]" $labels.a) }}{{ "2h" }}{{ end }}',
    ),
    (shorten_template, "{{ query `x[1h]` | first }}", "{{ query `x[1m]` | first }}"),
    (shorten_template, '{{ "a query" }}', '{{ "a query" }}'),
]

REJECTED: list[tuple[Function, str, str]] = [
    (divide, "five", "invalid duration"),
    (divide, "5", "invalid duration"),
    (divide, "1ms", "not a whole number"),
    (shorten_expression, "time() - x > 5m", "neither a range nor an offset"),
    (shorten_expression, "x[5]", "unexpected 5 in a range"),
    (shorten_expression, "x[$__range]", "unexpected $ in a range"),
    (shorten_expression, "x[1h", "unterminated"),
    (shorten_expression, "x offset y", "unexpected y after offset"),
    (shorten_expression, "x[5parsecs]", "unknown token"),
    (shorten_expression, 'x{a="b', "unknown token"),
    (shorten_template, "{{ range query $expression }}", "not a string literal"),
    (shorten_template, '{{ $x := "up[5m]" }}{{ query $x }}', "a range outside of a query"),
    (shorten_template, '{{ query "\\a" }}', "escape"),
]

RULE = {"alert": "A", "expr": "x[1m]", "for": "5m", "annotations": {"description": "since 1h"}}


def main() -> int:
    problems = [problem for row in SHORTENED for problem in check_shortened(*row)]
    problems += [problem for row in REJECTED for problem in check_rejected(*row)]
    problems += check_files()
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def check_shortened(function: Function, text: str, expected: str) -> list[str]:
    try:
        found = function(text)
    except ShortenError as error:
        found = f"error: {error}"
    return [] if found == expected else [f"{function.__name__} {text!r}: expected {expected!r}, got {found!r}"]


def check_rejected(function: Function, text: str, reason: str) -> list[str]:
    try:
        found = function(text)
    except ShortenError as error:
        found = str(error)
        if reason in found:
            return []
    return [f"{function.__name__} {text!r}: expected an error that contains {reason!r}, got {found!r}"]


def check_files() -> list[str]:
    original = rules(RULE)
    short = shorten(original)
    problems = []
    expected = rules(RULE | {"expr": "x[1s]", "for": "5s"})
    if short != expected:
        problems.append(f"expected {expected}, got {short}")
    if compare(original, short) != 2:
        problems.append("expected a count of 2 divided durations")

    def expect_error(name: str, call: Callable[[], object]) -> None:
        try:
            call()
        except (ShortenError, ValueError):
            return
        problems.append(f"{name}: expected an error")

    expect_error("unknown key of a rule", lambda: shorten(rules(RULE | {"keep": "5m"})))
    expect_error("unknown key of a group", lambda: shorten({"groups": [{"name": "g", "rules": [], "every": "5m"}]}))
    expect_error("unknown key of a file", lambda: shorten({"groups": [], "for": "5m"}))
    for wrong in (
        {"for": "6s"},
        {"for": "5m"},
        {"alert": "B"},
        {"expr": "y[1s]"},
        {"expr": "x[1m]"},
        {"annotations": {"description": "since 2h"}},
        {"labels": {"severity": "info"}},
    ):
        changed = shorten(rules(RULE))
        changed["groups"][0]["rules"][0] |= wrong
        expect_error(f"{wrong} instead of {RULE}", partial(compare, original, changed))
    expect_error("missing rule", lambda: compare(original, shorten({"groups": [{"name": "g", "rules": []}]})))
    return problems


def rules(rule: dict[str, Any]) -> dict[str, Any]:
    return {"groups": [{"name": "g", "rules": [rule]}]}


if __name__ == "__main__":
    sys.exit(main())
