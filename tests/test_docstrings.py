"""What public docstrings say: every parameter of functions with three or more, shapes or units of arrays."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.test_house import FILES, ROOT

LEAST = 0.95
MANY_PARAMETERS = 3
ARRAY = re.compile(r"\b(ndarray|NDArray|\w*Array|Tensor)\b")
_AXIS = r"(\d+ )?\w+( ?[+×/] ?\w+)?"
SHAPE = re.compile(rf"\({_AXIS}(,|(, {_AXIS})+)\)|\w ?× ?\w|\bshapes?\b", re.IGNORECASE)
UNIT = re.compile(r"\b(eV|THz|GPa|kbar|Å|K|fraction(al|s)?|probabilit(y|ies)|dimensionless|seconds?)\b|%")


@dataclass(frozen=True)
class Function:
    """A public function or method. where: its file and name. parameters: without ``self`` and ``cls``."""

    where: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    parameters: list[ast.arg]

    @property
    def docstring(self) -> str:
        """The docstring, empty where there is none."""
        return ast.get_docstring(self.node) or ""

    @property
    def types(self) -> str:
        """The annotations of what it takes and returns."""
        annotations = [parameter.annotation for parameter in self.parameters] + [self.node.returns]
        return " ".join(ast.unparse(annotation) for annotation in annotations if annotation)


def public_functions() -> Iterator[Function]:
    """All of the packages, methods of public classes too; what is inside a function aside."""
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        yield from _within(tree, f"{file.relative_to(ROOT)}:")


def _within(outer: ast.Module | ast.ClassDef, where: str) -> Iterator[Function]:
    for node in outer.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name[0] == "_":
            continue
        if isinstance(node, ast.ClassDef):
            yield from _within(node, f"{where}{node.name}.")
        else:
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield Function(where + node.name, node, [one for one in given if one.arg not in {"self", "cls"}])


def options_with_help() -> set[str]:
    """Names of the command line's types of options, shared by commands, that carry a help text."""
    return {
        node.targets[0].id
        for file in FILES
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and has_help(node.value)
    }


def has_help(annotation: ast.expr) -> bool:
    """Whether a type is ``Annotated`` with an option or argument that says ``help=``."""
    calls = [node for node in ast.walk(annotation) if isinstance(node, ast.Call)]
    return any(keyword.arg == "help" for call in calls for keyword in call.keywords)


def functions_of_many_parameters() -> dict[str, list[str]]:
    """Public functions of three or more parameters, and which of them neither docstring nor help names.

    An option of a command counts as named where it has a help text: `niobe COMMAND --help` shows that.
    """
    shared = options_with_help()
    return {
        function.where: [one.arg for one in function.parameters if not is_named(one, function, shared)]
        for function in public_functions()
        if len(function.parameters) >= MANY_PARAMETERS
    }


def is_named(parameter: ast.arg, function: Function, shared: set[str]) -> bool:
    """Whether a docstring, or the option's own help text, names a parameter."""
    kind = parameter.annotation
    if kind is not None and (has_help(kind) or shared & set(re.findall(r"\w+", ast.unparse(kind)))):
        return True
    return re.search(rf"\b{parameter.arg}\b", function.docstring) is not None


def functions_of_arrays() -> dict[str, bool]:
    """Public functions that take or return arrays, and whether their docstring has a shape or a unit."""
    return {
        one.where: bool(SHAPE.search(one.docstring) or UNIT.search(one.docstring))
        for one in public_functions()
        if ARRAY.search(one.types)
    }


def test_parameters_are_named() -> None:
    functions = functions_of_many_parameters()
    unnamed = {where: missing for where, missing in functions.items() if missing}
    assert 1 - len(unnamed) / len(functions) >= LEAST, unnamed


def test_arrays_have_a_shape_or_a_unit() -> None:
    functions = functions_of_arrays()
    unclear = [where for where, is_clear in functions.items() if not is_clear]
    assert 1 - len(unclear) / len(functions) >= LEAST, unclear
