"""Imports go one way: launchers → flows → loop → surrogates → config."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = ["config", "surrogates", "loop", "flows", "launchers"]


def imported_packages(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {_package(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(_package(node.module))
    return names


def _package(module: str) -> str:
    return module.removeprefix("niobe.").split(".")[0]


@pytest.mark.parametrize("package", ORDER)
def test_no_package_imports_one_above_it(package: str) -> None:
    above = set(ORDER[ORDER.index(package) + 1 :])
    wrong = {str(file): imported_packages(file) & above for file in (ROOT / package).rglob("*.py")}
    assert {file: names for file, names in wrong.items() if names} == {}


@pytest.mark.parametrize("package", ["config", "surrogates", "loop"])
def test_domain_knows_no_workflow_engine(package: str) -> None:
    engines = {"jobflow", "fireworks", "atomate2"}
    for file in (ROOT / package).rglob("*.py"):
        assert not imported_packages(file) & engines, file


def test_only_the_store_queries_mongodb() -> None:
    for file in (ROOT / "loop").rglob("*.py"):
        if ROOT / "loop" / "store" not in file.parents:
            assert "pymongo" not in imported_packages(file), file


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, niobe.launchers.cli;"
        "heavy = ('torch', 'pymatgen', 'numpy', 'jobflow', 'pymongo');"
        "print([m for m in heavy if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout.strip() == "[]"
