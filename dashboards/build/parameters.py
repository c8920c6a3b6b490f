"""The parameters in `deploy/prometheus/parameters.yaml`, a file that the alert rules and the Helm chart use as well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEFAULTS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "parameters.yaml"
MAX_BYTES = 1 << 20

# Label names in queries that a parameter must not repeat.
_RESERVED = {"job", "instance", "target", "server_name", "backend", "tls"}


class ParameterError(Exception):
    """A parameter file that cannot be used. The message starts with the path of the file."""


@dataclass(frozen=True)
class Expiry:
    """A certificate counts if both the days and the share of its lifetime that are left are below these values, because
    six-day certificates are normal."""

    days: int
    share: float

    def __str__(self) -> str:
        return f"{self.days} days and {self.percent}"

    @property
    def percent(self) -> str:
        return f"{100 * self.share:g}%"


@dataclass(frozen=True)
class Parameters:
    cluster: str
    """The name of the label that distinguishes clusters."""
    namespace: str
    """The name of the label that distinguishes namespaces."""
    kept: tuple[str, ...]
    """Labels of targets that alerts keep. The first one is the default of the variable `label`."""
    runbook_url: str | None
    """Without a slash at the end. `None` if it is the default, which is a placeholder."""
    expiring: Expiry
    about_to_expire: Expiry


def read(file: Path | None = None) -> Parameters:
    """The parameters in a file, with the defaults for missing ones. Raises `ParameterError`."""
    defaults = _load(DEFAULTS)
    try:
        return _parameters(_merge(defaults, None if file is None else _load(file)), defaults)
    except ValueError as error:
        raise ParameterError(f"{file or DEFAULTS}: {error}") from None


def _load(file: Path) -> Any:
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ParameterError(f"{file}: more than {MAX_BYTES} characters")
        return yaml.safe_load(text)
    except OSError as error:
        raise ParameterError(f"{file}: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ParameterError(f"{file}: invalid YAML: {error}") from None


def _merge(default: Any, value: Any, path: str = "") -> Any:
    """The value of a key, with defaults for missing keys below it. Raises `ValueError`."""
    if value is None:
        return default
    if isinstance(default, dict):
        if not isinstance(value, dict):
            raise ValueError(f"invalid type of `{path or 'file'}`: expected a map")
        unknown = [key for key in value if key not in default]
        if unknown:
            raise ValueError(f"unknown key `{_join(path, unknown[0])}`: expected one of {', '.join(default)}")
        return {key: _merge(each, value.get(key), _join(path, key)) for key, each in default.items()}
    types = {str: (str,), int: (int,), float: (int, float), list: (list,)}[type(default)]
    if isinstance(value, bool) or not isinstance(value, types):
        raise ValueError(f"invalid type of `{path}`: expected {type(default).__name__}, got {value!r}")
    return value


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _parameters(values: dict[str, Any], defaults: dict[str, Any]) -> Parameters:
    labels, thresholds, runbook_url = values["labels"], values["thresholds"], values["runbook_url"]
    parameters = Parameters(
        cluster=labels["cluster"],
        namespace=labels["namespace"],
        kept=tuple(labels["kept"]),
        runbook_url=None if runbook_url == defaults["runbook_url"] else runbook_url.rstrip("/"),
        expiring=_expiry(thresholds, "certificate_expiring"),
        about_to_expire=_expiry(thresholds, "certificate_about_to_expire"),
    )
    names = [parameters.cluster, parameters.namespace, *parameters.kept]
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
            raise ValueError(f"invalid label name {name!r} in `labels`: expected letters, digits and _")
        if name in _RESERVED or names.count(name) > 1:
            raise ValueError(f"invalid label name `{name}` in `labels`: another label has this name")
    if not re.fullmatch(r"https?://[^\s\"'`$\\{}<>]+", runbook_url):
        raise ValueError(f"invalid `runbook_url` {runbook_url!r}: expected an http or https URL")
    if not (
        parameters.about_to_expire.days < parameters.expiring.days
        and parameters.about_to_expire.share < parameters.expiring.share
    ):
        raise ValueError("`certificate_about_to_expire_…` must be less than `certificate_expiring_…`")
    return parameters


def _expiry(thresholds: dict[str, Any], name: str) -> Expiry:
    expiry = Expiry(thresholds[f"{name}_days"], float(thresholds[f"{name}_lifetime_ratio"]))
    if not 1 <= expiry.days <= 3650:
        raise ValueError(f"invalid `{name}_days` {expiry.days}: expected 1 to 3650")
    if not 0 < expiry.share < 1:
        raise ValueError(f"invalid `{name}_lifetime_ratio` {expiry.share}: expected more than 0 and less than 1")
    return expiry
