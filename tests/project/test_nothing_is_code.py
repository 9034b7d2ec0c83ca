"""No module decodes data in a way that imports or runs what the data name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("config", "flows", "launchers", "loop", "surrogates")
LOOKS_UP = {
    *("from_dict", "MontyDecoder", "loadfn", "process_decoded", "get_partial_json", "load_object"),
    *("pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "unsafe_load", "full_load"),
    *("eval", "exec", "compile", "__import__", "import_module", "from_file", "runpy", "literal_eval"),
}
# What is read there is Niobe's own: (file, word).
OWN = {
    ("flows/oracles/calculators.py", "import_module"): "an ASE calculator that the user's own file names",
    ("flows/goals/resolving.py", "import_module"): "a property that the user's own file names by path",
    ("launchers/local/executor.py", "MontyDecoder"): "a job that its own parent process has just written",
    ("flows/oracles/mock_vasp/potcars.py", "loadfn"): "pymatgen's file of input sets, from its wheel",
    ("launchers/fireworks/workflows.py", "load_object"): "Niobe's own task, by a constant name",
    ("launchers/fireworks/pad.py", "from_file"): "the launchpad file that the user's FireWorks settings name",
}
# Methods and functions of other meaning: a network's mode, a compiled pattern.
HARMLESS = {("eval", "model"), ("eval", "network"), ("eval", "skeleton"), ("compile", "re")}
HARMLESS |= {("compile", "re2"), ("eval", "averaged"), ("eval", "trained")}


def uses(file: Path) -> list[tuple[str, int]]:
    """Each word of LOOKS_UP that the file's code calls, passes on or imports, with its line."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in LOOKS_UP:
            owner = (
                node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            )
            if (node.attr, owner) not in HARMLESS:
                found.append((node.attr, node.lineno))
        elif isinstance(node, ast.Name) and node.id in LOOKS_UP:
            found.append((node.id, node.lineno))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.split(".")[0] for alias in node.names}
            module = (getattr(node, "module", None) or "").split(".")[0]
            found += [(name, node.lineno) for name in ({*names, module}) & LOOKS_UP]
        elif (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and getattr(node.value, "value", True)
        ):
            found.append(("allow_pickle", node.value.lineno))
    return found


def _is_on(value: ast.expr) -> bool:
    return not (isinstance(value, ast.Constant) and value.value is False)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_data_is_decoded_by_what_imports_or_runs(folder: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {word}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for word, line in uses(file)
        if (str(file.relative_to(ROOT)), word) not in OWN
    ]
    assert not wrong, "structures: loop/crystals/decoding; others: a model of one's own"


def test_each_exception_is_still_there() -> None:
    for file, word in OWN:
        assert word in {found for found, _ in uses(ROOT / file)}, f"{file} no longer uses {word}"
