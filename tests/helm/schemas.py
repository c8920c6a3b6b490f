"""Schemas of Kubernetes objects, and the fields of objects of the Prometheus operator."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema.validators import Draft202012Validator
from referencing import Registry, Resource

Json = dict[str, Any]
# The oldest that the chart supports, and the newest.
VERSIONS = ("1.25.0", "1.37.0")
OPERATOR = "monitoring.coreos.com/v1"


def errors(manifest: Json) -> Iterator[str]:
    if manifest["apiVersion"] == OPERATOR:
        yield from _field_errors(manifest, _classes()[manifest["kind"]], manifest["kind"])
        return
    for version in VERSIONS:
        for error in _validator(version, manifest["kind"], manifest["apiVersion"]).iter_errors(manifest):
            path = ".".join(map(str, error.absolute_path))
            yield f"{manifest['kind']} in Kubernetes {version}: {path}: {error.message[:300]}"


# --- Kubernetes


def _folder(package: str) -> Path:
    # Not imported: importing cloudcoil would need more packages.
    spec = importlib.util.find_spec(package)
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


@functools.cache
def _registry(version: str) -> Registry:
    definitions = json.loads((_schemas(version) / "_definitions.json").read_text())
    return Resource.from_contents(definitions) @ Registry()


def _schemas(version: str) -> Path:
    return _folder("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}-local-strict"


@functools.cache
def _validator(version: str, kind: str, api_version: str) -> Draft202012Validator:
    group, _, name = api_version.rpartition("/")
    file = "-".join(filter(None, [kind.lower(), group.split(".")[0], name])) + ".json"
    schema = json.loads((_schemas(version) / file).read_text())
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _registry(version))


# --- Prometheus operator: classes in Python that are generated from its CRDs

# Class to fields: name in the CRD to the names in its type, and whether it is required.
Fields = dict[str, tuple[set[str], bool]]


@functools.cache
def _classes() -> dict[str, Fields]:
    file = _folder("cloudcoil") / "models" / "prometheus_operator" / "v1.py"
    classes = (node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef))
    return {each.name: _fields(each) for each in classes if not _is_scalar(each)}


def _is_scalar(node: ast.ClassDef) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "RootModel" for base in node.bases for part in ast.walk(base))


def _fields(node: ast.ClassDef) -> Fields:
    fields: Fields = {}
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            calls = (part for part in ast.walk(each.annotation) if isinstance(part, ast.keyword) and part.arg == "alias")
            alias = next((call.value.value for call in calls if isinstance(call.value, ast.Constant)), each.target.id)
            types = {part.id for part in ast.walk(each.annotation) if isinstance(part, ast.Name)}
            fields[str(alias)] = (types, each.value is None)
    return fields


_SCALARS = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def _field_errors(value: Json, fields: Fields, path: str) -> Iterator[str]:
    for name in fields:
        if fields[name][1] and name not in value:
            yield f"{path}: no {name}"
    for name, part in value.items():
        if name not in fields:
            yield f"{path}: unknown field {name}"
            continue
        types = fields[name][0]
        inner = next((_classes()[each] for each in types if each in _classes()), None)
        scalars = tuple(_SCALARS[each] for each in types if each in _SCALARS)
        parts = part if isinstance(part, list) else [part]
        if ("List" in types) != isinstance(part, list):
            yield f"{path}.{name}: {'expected' if 'List' in types else 'unexpected'} list"
        elif inner is not None:
            for each in parts:
                if isinstance(each, dict):
                    yield from _field_errors(each, inner, f"{path}.{name}")
                elif not scalars:
                    yield f"{path}.{name}: expected a map"
        elif scalars and "Dict" not in types:
            flat = [type_ for each in scalars for type_ in (each if isinstance(each, tuple) else (each,))]
            yield from (f"{path}.{name}: {each!r}" for each in parts if type(each) not in flat)
