"""The code itself: lines by package, limits of the house, docstrings, what `niobe --help` costs."""

from __future__ import annotations

import ast
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.benchmarks.publish import publish
from tests.test_docstrings import functions_of_arrays, functions_of_many_parameters
from tests.test_house import (
    FILES,
    LONG_FUNCTIONS,
    MOST_LINES,
    MOST_LINES_OF_A_FUNCTION,
    MOST_MODULES,
    PACKAGES,
    ROOT,
    lines_of_files,
    lines_of_functions,
    modules_of_folders,
)

pytestmark = pytest.mark.benchmark
COMMAND = "python -m pytest tests/benchmarks/test_code.py -m benchmark"
LINES_BEFORE = {"config": 709, "surrogates": 4567, "loop": 6998, "flows": 4781, "launchers": 9033}
DOCSTRINGS_BEFORE = 2649
GROWN_BEFORE = {"launchers/embedded": 2853, "loop/readers": 714, "loop/store": 917, "loop/stability": 467}
"""Lines at commit bf03c81, which made one package of the folders; counted as here."""
HELP_RUNS = 5


def help_seconds() -> float:
    """Processor time of `niobe --help`, the median of some runs."""
    code = [sys.executable, "-c", "from niobe.launchers.cli import main; main()", "--help"]
    spent = []
    for _ in range(HELP_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(code, check=True, capture_output=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(spent)


def lines_of_docstrings() -> int:
    """Of all packages but the interface for Python."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [
        node.body[0]
        for file in FILES
        if file.relative_to(ROOT).parts[0] in LINES_BEFORE
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, kinds) and ast.get_docstring(node) is not None
    ]
    return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes)


def test_lines() -> None:
    start = time.perf_counter()
    packages, rooms = Counter[str](), Counter[str]()
    for file, count in lines_of_files().items():
        packages[file.split("/")[0]] += count
        rooms["/".join(file.split("/")[:2])] += count
    compared = sum(count for name, count in packages.items() if name in LINES_BEFORE)
    rows = [_lines("all but niobe", compared, sum(LINES_BEFORE.values()))]
    rows += [_lines(name, packages[name], LINES_BEFORE.get(name)) for name in PACKAGES]
    rows.append(_lines("docstrings, in all but niobe", lines_of_docstrings(), DOCSTRINGS_BEFORE))
    rows += [_lines(name, rooms[name], before) for name, before in GROWN_BEFORE.items()]
    publish(
        "code-lines",
        page="code",
        title="Lines of code by package",
        command=COMMAND,
        rows=rows,
        seconds=time.perf_counter() - start,
        headline="all but niobe: {0[lines]}, {0[before]} before (bar: not more)",
        notes=[
            "All lines of all .py files, docstrings and blank lines too; tests aside. `niobe` is the "
            "interface for Python.",
            "Before: commit bf03c81, which made one package of the folders.",
            "The bar is missed. The last rows are the folders that grew most: the embedded database's query "
            "language, updates and limits against hostile clients; CIF symmetry, tables and archives read "
            "whole or refused by file and line; bundles of strangers checked field by field; the hull by "
            "facets and phonon verdicts confirmed in larger cells.",
        ],
        order=1,
    )


def test_limits() -> None:
    start = time.perf_counter()
    folders, files, functions = modules_of_folders(), lines_of_files(), lines_of_functions()
    fullest, longest, most = (max(counts, key=lambda k: counts[k]) for counts in (folders, files, functions))
    named, clear = functions_of_many_parameters(), functions_of_arrays()
    over = sum(count > MOST_LINES_OF_A_FUNCTION for count in functions.values())
    seconds = help_seconds()
    publish(
        "code-limits",
        page="code",
        title="Folders, files, functions, docstrings",
        command=COMMAND,
        rows=[
            _row("fullest folder", f"{folders[fullest]} modules ({fullest})", f"≤ {MOST_MODULES}"),
            _row("longest file", f"{files[longest]} lines ({longest})", f"≤ {MOST_LINES}"),
            _row(
                f"functions over {MOST_LINES_OF_A_FUNCTION} lines, docstrings aside",
                f"{over} of {len(functions)}; the longest {functions[most]} ({most.split(':')[1]})",
                f"0, or a reason (tests/test_house.py: {len(LONG_FUNCTIONS)})",
            ),
            _row(
                "public functions of three or more parameters that name each",
                _share(sum(not missing for missing in named.values()), len(named)),
                "≥ 90 %",
            ),
            _row("functions of arrays with shape or unit", _share(sum(clear.values()), len(clear)), "≥ 90 %"),
            _row("`niobe --help`, processor time", f"{seconds:.2f} s", "≤ 0.4 s"),
        ],
        seconds=time.perf_counter() - start,
        headline="each parameter named: {3[figure]} (≥ 90 %); niobe --help: {5[figure]} (≤ 0.4 s)",
        notes=[
            "An option of a command counts as named where `niobe COMMAND --help` has a text for it.",
            f"`niobe --help`: the median of {HELP_RUNS} runs, user and system.",
            "All but the last are held by tests/test_house.py and tests/test_docstrings.py.",
        ],
        order=2,
    )
    assert seconds <= 0.4


def _lines(part: str, lines: int, before: int | None) -> dict[str, str | int | None]:
    return {"part": part, "lines": lines, "before": before}


def _row(what: str, figure: str, bar: str) -> dict[str, str]:
    return {"what": what, "figure": figure, "bar": bar}


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})"
