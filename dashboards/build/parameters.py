"""The parameters in `deploy/prometheus/parameters.yaml`, a file that the alert rules and the Helm chart use as well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import category

import yaml

DEFAULTS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "parameters.yaml"
MAX_BYTES = 1 << 20

# Label names that the exporter does not accept: those of its metrics, those that differ between its replicas, and those that rules
# and PromQL give a meaning. The Helm chart has the same list.
_RESERVED = set(
    """
    instance pod exported_pod pod_name pod_ip pod_uid pod_template_hash controller_revision_hash
    kubernetes_pod_name statefulset_kubernetes_io_pod_name apps_kubernetes_io_pod_index container container_id
    endpoint node node_name nodename kubernetes_node alloc_id task_id replica prometheus_replica
    receive_replica rule_replica thanos_replica alertname alertstate severity backend certificate cipher data
    fingerprint_sha256 group host_backend issuer key kind le matching_type name phase policy_id policy_mode
    port preference presented quantile reason record resolver resolves result revision rua selector serial
    server_name signature stage status store subject target tls type usability usage variant version job
    """.split()
)
_KEYWORDS = {"inf", "nan", "without"}

# A matcher of PromQL. Its regular expression is not checked: Python has another syntax, and the dashboards do not use selectors.
_CODE_POINT = r"(?:[0-9A-Ca-cEeFf][0-9A-Fa-f]{3}|[dD][0-7][0-9A-Fa-f]{2})"
_ESCAPE = (
    rf"\\(?:[abfnrtv\\]|[01][0-7]{{2}}|x[0-7][0-9A-Fa-f]|u{_CODE_POINT}|U0000{_CODE_POINT}"
    r"|U00(?:0[1-9A-Fa-f]|10)[0-9A-Fa-f]{4})"
)
_STRING = rf"""(?:"(?:[^"\\`]|{_ESCAPE}|\\")*"|'(?:[^'\\`]|{_ESCAPE}|\\')*')"""
_MATCHER = rf" *(?!__name__\b)[a-zA-Z_][a-zA-Z0-9_]* *(?:=~|!~|!=|=) *{_STRING} *"
_MATCHERS = re.compile(rf"{_MATCHER}(?:,{_MATCHER})*")

# Thresholds of rules that the dashboards do not use, and the least share of a lifetime: the limits of the exporter.
_RANGES = {
    "client_certificate_expiring_days": (1, 3650),
    "not_reloaded_hours": (2, 168),
    "certificates_differ_hours": (2, 168),
    "backend_flapping_changes": (2, 100),
}
_LEAST_SHARE = 1e-9


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
    types, name = {
        str: ((str,), "a text"),
        int: ((int,), "a whole number"),
        float: ((int, float), "a number"),
        list: ((list,), "a list"),
    }[type(default)]
    if isinstance(value, bool) or not isinstance(value, types):
        raise ValueError(f"invalid type of `{path}`: expected {name}, got {value!r}")
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
        if name in _RESERVED or name.startswith("__") or name.lower() in _KEYWORDS:
            raise ValueError(f"invalid label name `{name}` in `labels`: alerts cannot keep a label with this name")
        if names.count(name) > 1:
            raise ValueError(f"invalid label name `{name}` in `labels`: another label has this name")
    if not re.fullmatch(r"https?://[\[A-Za-z0-9][-A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%]*", runbook_url):
        raise ValueError(f"invalid `runbook_url` {runbook_url!r}: expected an http or https URL without blanks and quotes")
    selectors = values["selectors"]
    for name, text in selectors.items():
        if not _MATCHERS.fullmatch(text) or any(category(c) in ("Cc", "Cf", "Zl", "Zp") for c in text):
            raise ValueError(f"invalid `selectors.{name}` {text!r}: expected matchers of PromQL without braces")
    if selectors["exporter"] == selectors["probe"]:
        raise ValueError("`selectors.exporter` and `selectors.probe` are equal: expected different jobs")
    for name, (least, most) in _RANGES.items():
        if not least <= thresholds[name] <= most:
            raise ValueError(f"invalid `{name}` {thresholds[name]}: expected {least} to {most}")
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
    if not _LEAST_SHARE <= expiry.share < 1:
        raise ValueError(f"invalid `{name}_lifetime_ratio` {expiry.share}: expected more than 0 and less than 1")
    return expiry
