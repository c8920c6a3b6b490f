"""What the checks of all parts share: a step, a failure, and waiting for an answer of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from .exporter import INTERVAL, Exporter
from .prometheus import Prometheus

# The name that is printed, and the check.
Step = tuple[str, Callable[[], None]]

# One interval until the exporter sees a change, a slow greeting, a scrape, and a margin for a busy host.
TIMEOUT = 4.0 * INTERVAL


class Failed(Exception):
    """A check failed; the message has what was seen instead."""


class Fixture(Protocol):
    """An exporter that is scraped by a Prometheus."""

    exporter: Exporter
    prometheus: Prometheus


def expect(condition: bool, seen: str) -> None:
    if not condition:
        raise Failed(seen)


def await_vector(
    fixture: Fixture,
    expression: str,
    expected: Mapping[str, float],
    *,
    by: str = "backend",
    tolerance: float = 0.0,
    seconds: float = TIMEOUT,
) -> None:
    """Queries Prometheus until the vector has exactly these values; `by` is the label that identifies a series."""
    deadline = time.monotonic() + seconds
    while True:
        samples = fixture.prometheus.query(expression)
        seen = {sample.labels.get(by, ""): sample.value for sample in samples}
        if (
            seen.keys() == expected.keys()
            and len(samples) == len(expected)
            and all(abs(seen[key] - value) <= tolerance for key, value in expected.items())
        ):
            return
        if fixture.exporter.exit_code is not None:
            raise Failed(f"the exporter has exited with {fixture.exporter.exit_code}")
        if time.monotonic() > deadline:
            raise Failed(f"{expression}: expected {_format(expected)}, got {_format(seen)} in {len(samples)} series")
        time.sleep(0.25)


def _format(values: Mapping[str, float]) -> str:
    return "{" + ", ".join(f"{key}: {value:.12g}" for key, value in sorted(values.items())) + "}"
