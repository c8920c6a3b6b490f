"""The steps of the comparison of web configurations with blackbox_exporter."""

from __future__ import annotations

from collections.abc import Iterator

from . import web_config_cases, web_config_changes, web_config_files
from .checks import Step
from .web_config import WebConfig


def steps(web_config: WebConfig) -> Iterator[Step]:
    for name, files in web_config_files.files(web_config.certificates):
        yield web_config.files_step(name, files)
    for group in web_config_cases.groups(web_config.certificates):
        yield web_config.group_step(group)
    yield from web_config_changes.steps(web_config)
    yield "web_config: every declared difference was tried", web_config.check_differences
