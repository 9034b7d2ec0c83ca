"""What a project says of itself, in one voice."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import metadata, version
from typing import Any

import yaml

from tests.project.records import DOCS

ROOT = DOCS.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_one_version_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    released = re.findall(r"^## (\d\S*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {PROJECT["version"], citation["version"], released[0]} == {version("niobe-crystals")}
    assert citation["license"] == PROJECT["license"]


def test_python_versions_are_those_that_are_checked() -> None:
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python"] == versions
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_what_is_installed_says_the_same() -> None:
    assert metadata("niobe-crystals")["License-Expression"] == PROJECT["license"]
