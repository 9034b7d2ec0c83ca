"""What is built and declared: one package, all that it imports, and a campaign from the wheel alone."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from niobe.config.extras import EXTRAS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = ["niobe", *PROJECT["tool"]["setuptools"]["package-dir"].values()]
CAMPAIGN = """
id: cu-au
elements: [Cu, Au]
oracle: {name: emt}
limits: {max_atoms: 4}
budget: {rounds: 1, validations: 2}
seeds: {max_prototypes: 1}
generation: {candidates: 6, mix: [{name: random}]}
acquisition: {batch: 2}
phonons: {enabled: false}
"""
NAMED_OTHERWISE = {"torch_sim": "torch-sim-atomistic"}
"""Packages of extras that may not be installed here, by what is imported of them."""
HOSTILE = "raise RuntimeError('a file of the user was imported')\n"


def imported(folder: Path) -> dict[str, Path]:
    """The importable names that the modules of a folder use, each with one module that does."""
    found: dict[str, Path] = {}
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0]: file for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.split(".")[0]] = file
    own = {"niobe", "tests", *sys.stdlib_module_names}
    return {name: file for name, file in found.items() if name not in own}


def declared(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


REQUIRED = declared(PROJECT["project"]["dependencies"])
OPTIONAL = {extra: declared(names) for extra, names in PROJECT["project"]["optional-dependencies"].items()}


@pytest.mark.parametrize("folder", [*FOLDERS, "tests"])
def test_whatever_is_imported_is_declared(folder: str) -> None:
    distributions = packages_distributions()
    allowed = REQUIRED | (set().union(*OPTIONAL.values()) if folder == "tests" else set())
    for name, file in imported(ROOT / folder).items():
        known = distributions.get(name, [NAMED_OTHERWISE.get(name, name)])
        brings = {canonicalize_name(each) for each in known}
        if folder != "tests" and name in EXTRAS:
            assert brings & OPTIONAL[EXTRAS[name]], f"{file}: {name} is in no extra {EXTRAS[name]}"
        else:
            assert brings & allowed, f"{file}: {name} is brought by {brings}, which is not declared"


def test_whatever_is_declared_is_imported() -> None:
    distributions = packages_distributions()
    used = {name for folder in FOLDERS for name in imported(ROOT / folder)}
    brought = {canonicalize_name(each) for name in used for each in distributions.get(name, [])}
    assert REQUIRED - brought <= {"matscipy"}, "sevenn needs matscipy and does not always say so"


def test_every_folder_with_modules_is_a_package_that_is_built() -> None:
    inside = {folder: name for name, folder in PROJECT["tool"]["setuptools"]["package-dir"].items()}
    found = [
        ".".join([inside.get(folder, folder), *file.parent.relative_to(ROOT / folder).parts])
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
    ]
    assert sorted(set(found)) == sorted(PROJECT["tool"]["setuptools"]["packages"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the working tree."""
    place = tmp_path_factory.mktemp("wheel")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, place)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    (built,) = (place / "dist").glob("*.whl")
    return built


def test_the_wheel_holds_one_package_and_its_metadata(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    version = PROJECT["project"]["version"]
    assert {name.split("/")[0] for name in names} == {"niobe", f"niobe_crystals-{version}.dist-info"}
    data = [file for kind in ("*.yaml", "*.html", "*.js", "*.css") for file in ROOT.rglob(kind)]
    shipped = [f for f in data if f.relative_to(ROOT).parts[0] in FOLDERS and "__pycache__" not in f.parts]
    assert {f"niobe/{file.relative_to(ROOT)}" for file in shipped} <= set(names)
    assert "niobe/py.typed" in names


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment with the wheel, above the packages of this one but not its Niobe."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install"]
    options = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, str(wheel)], check=True, capture_output=True)
    (packages,) = (place / "lib").glob("python*/site-packages")
    below = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "below.pth").write_text("\n".join(below), encoding="utf-8")
    return place / "bin" / "niobe"


def niobe(installed: Path, place: Path, *arguments: str) -> str:
    """What the installed command says, run in a folder of the user's outside the checkout."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("NIOBE_", "PYTHON"))}
    return subprocess.run(
        [str(installed), *arguments],
        cwd=place,
        env=inherited | {"NIOBE_HOME": str(place / "home"), "NIOBE_WORKERS": "2", "NIOBE_OFFLINE": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.slow
def test_the_wheel_runs_a_campaign_beside_files_of_the_same_names(installed: Path, tmp_path: Path) -> None:
    for name in ("config.py", "loop.py", "flows.py", "launchers.py", "surrogates.py", "tests/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(HOSTILE, encoding="utf-8")
    (tmp_path / "cu-au.yaml").write_text(CAMPAIGN, encoding="utf-8")
    try:
        assert "campaign cu-au ended" in niobe(installed, tmp_path, "launch", "cu-au.yaml")
        (row,) = json.loads(niobe(installed, tmp_path, "status", "--json"))
        assert (row["state"], row["validated"] + row["failed"] > 2) == ("finished", True)
    finally:
        niobe(installed, tmp_path, "db", "stop")
