"""Unit tests of `shorten.py`: inputs with the expected result, and inputs with the expected error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from shorten import ShortenError, compare, divide, shorten, shorten_expression, shorten_template

Function = Callable[[str], str]

# Texts and expected results: None if the text stays as it is; an error stands for any that contains its message.
CASES: dict[Function, list[tuple[str, str | ShortenError | None]]] = {
    divide: [
        ("5m", "5s"),
        ("1d", "24m"),
        ("1h30m", "1m30s"),
        ("30s", "500ms"),
        ("0s", None),
        ("five", ShortenError("invalid duration")),
        ("5", ShortenError("invalid duration")),
        ("1ms", ShortenError("not a whole number")),
    ],
    shorten_expression: [
        ("max_over_time(up[10m]) == 0", "max_over_time(up[10s]) == 0"),
        ("rate(up[ 1h : 5m ] offset -1d)", "rate(up[ 1m : 5s ] offset -24m)"),
        ("up[1h:]", "up[1m:]"),
        ("a:b:max10m == 1 # as [5m] does", None),
        ('up{job=~"[0-9]5m[10m]",a="\\"[5m]"}[5m]', 'up{job=~"[0-9]5m[10m]",a="\\"[5m]"}[5s]'),
        ("x > time() - 86400 + 1.5e3 - .5", None),
        ("time() - x > 5m", ShortenError("neither a range nor an offset")),
        ("x[5]", ShortenError("unexpected 5 in a range")),
        ("x[$__range]", ShortenError("unexpected $ in a range")),
        ("x[1h", ShortenError("unterminated")),
        ("x offset y", ShortenError("unexpected y after offset")),
        ("x[5parsecs]", ShortenError("unknown token")),
        ('x{a="b', ShortenError("unknown token")),
    ],
    shorten_template: [
        ("for 5m: {{ $value }}", None),
        (
            '{{ range query (printf "x{a=%q,b=\\"c\\"}[2h]" $labels.a) }}{{ "2h" }}{{ end }}',
            '{{ range query (printf "x{a=%q,b=\\"c\\"}[2m]" $labels.a) }}{{ "2h" }}{{ end }}',
        ),
        ("{{ query `x[1h]` | first }}", "{{ query `x[1m]` | first }}"),
        ('{{ "a query" }}', None),
        ("{{ range query $expression }}", ShortenError("not a string literal")),
        ('{{ $x := "up[5m]" }}{{ query $x }}', ShortenError("a range outside of a query")),
        ('{{ query "\\a" }}', ShortenError("escape")),
    ],
}

RULE = {"alert": "A", "expr": "x[1m]", "for": "5m", "annotations": {"description": "since 1h"}}


def main() -> int:
    problems = [problem for function, cases in CASES.items() for case in cases for problem in check(function, *case)]
    problems += check_files()
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def check(function: Function, text: str, expected: str | ShortenError | None) -> list[str]:
    if expected is None:
        expected = text
    found: str | ShortenError
    try:
        found = function(text)
    except ShortenError as error:
        found = error
    if isinstance(found, ShortenError) and isinstance(expected, ShortenError):
        is_expected = str(expected) in str(found)
    else:
        is_expected = found == expected
    return [] if is_expected else [f"{function.__name__} {text!r}: expected {expected!r}, got {found!r}"]


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
