"""ASE calculators that a campaign file names: trusted, found, made, and what they are made of hashed.

A calculator is code. It is imported only where it was trusted with these very arguments on this machine: a
campaign launched from its file trusts what that file names; a campaign that came in a bundle or over a
database does not (SECURITY.md).
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase.calculators.calculator import Calculator, all_changes

from niobe.config.errors import ConfigError
from niobe.config.oracles.spec import Oracle as OracleSpec
from niobe.flows import trusted

if TYPE_CHECKING:
    from ase import Atoms

_NEEDED = ("energy", "forces", "stress")


def asked(spec: OracleSpec) -> str:
    """What an oracle's calculator is, as one line of JSON: the same text for the same calculator.

    spec: of an oracle with ``name: ase``.
    """
    content = {"calculator": spec.calculator, "kwargs": spec.kwargs, "dtype": spec.dtype}
    return json.dumps(content, sort_keys=True)


def trust(spec: OracleSpec) -> None:
    """Let this machine import what the user's own campaign file names, from now on.

    spec: of the oracle, as the file has it; of one without a calculator by path nothing is noted.
    """
    if spec.name == "ase":
        trusted.trust(asked(spec))


def check_installed(spec: OracleSpec) -> None:
    """Raises ConfigError where the package of the calculator is not installed. Imports nothing of it.

    spec: of an oracle with ``name: ase``.
    """
    package = spec.calculator.partition(":")[0].partition(".")[0]
    if ":" in spec.calculator and find_spec(package) is None:
        raise ConfigError(f"oracle.calculator: {spec.calculator}: no package {package!r} is installed here")


def make(line: str, device: str) -> Calculator:
    """The calculator that ``asked`` describes, with energy, forces and stress.

    line: of ``asked``. device: ``cpu`` or ``cuda``, given to what takes a ``device`` and is told none.
    Raises ConfigError where it is not trusted here, cannot be imported or made, or lacks a property.
    """
    if not trusted.is_trusted(line):
        raise ConfigError(
            f"oracle.calculator: {line} is code that nobody here has named in a campaign file of their own; "
            "launch such a file to trust it"
        )
    content = json.loads(line)
    name, kwargs = content["calculator"], content["kwargs"]
    try:
        if ":" in name:
            module, _, attribute = name.partition(":")
            factory = getattr(import_module(module), attribute)
            calculator = factory(**_settings(factory, kwargs, content["dtype"], device))
        else:
            calculator = _of_atomate2(name, kwargs, content["dtype"])
    except Exception as error:
        raise ConfigError(f"oracle.calculator: {name}: {type(error).__name__}: {error}") from error
    return _complete(name, calculator)


def _settings(factory: Any, kwargs: Mapping[str, Any], dtype: str | None, device: str) -> dict[str, Any]:
    """The keyword arguments, with the precision and device under the names that the calculator has."""
    takes = inspect.signature(factory).parameters
    found = dict(kwargs)
    if "device" in takes:
        found.setdefault("device", device)
    if dtype:
        names = [name for name in ("default_dtype", "dtype") if name in takes]
        if not names:
            raise ValueError("dtype: it takes none")
        found.setdefault(names[0], dtype)
    return found


def _of_atomate2(name: str, kwargs: Mapping[str, Any], dtype: str | None) -> Any:
    from atomate2.forcefields.utils import ase_calculator

    return ase_calculator(name, default_dtype=dtype, **kwargs)


def _complete(name: str, calculator: Any) -> Calculator:
    lacks = [each for each in _NEEDED if each not in getattr(calculator, "implemented_properties", ())]
    if lacks:
        raise ConfigError(
            f"oracle.calculator: {name}: has no {lacks[0]}; Niobe needs energy, forces and stress"
        )
    return calculator if isinstance(calculator, Calculator) else Adapted(calculator)


class Adapted(Calculator):
    """What answers by ``get_property`` only, as ASE's own Calculator: whoever guards it wraps one method."""

    implemented_properties = _NEEDED

    def __init__(self, calculator: Any) -> None:
        super().__init__()
        self._calculator = calculator

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """See ASE's Calculator."""
        super().calculate(atoms, properties, system_changes)
        self.results = {name: self._calculator.get_property(name, self.atoms) for name in _NEEDED}


def fingerprint(spec: OracleSpec) -> str:
    """What the calculator is: import path, version, arguments, and contents of the files among these.

    spec: of an oracle with ``name: ase``. Nothing is imported. Raises ConfigError where a file is gone.
    """
    content = {"kwargs": _contents(spec.kwargs), "dtype": spec.dtype}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    module = spec.calculator.partition(":")[0] if ":" in spec.calculator else "atomate2"
    try:
        return f"{spec.calculator} {version_of(module)} {digest}"
    except ModuleNotFoundError as error:
        raise ConfigError(f"oracle.calculator: {spec.calculator}: {error}") from None


def _contents(value: Any) -> Any:
    """Arguments with each file or folder replaced by the hash of what is in it."""
    if isinstance(value, dict):
        return {key: _contents(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_contents(inner) for inner in value]
    if not isinstance(value, str) or not Path(value).is_absolute():
        return value
    path = Path(value)
    if not path.exists():
        raise ConfigError(f"oracle.kwargs: {value}: no such file or folder")
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [_hash(file, file.stat().st_mtime_ns) for file in files if file.is_file()]


@functools.cache
def _hash(file: Path, changed: int) -> str:
    """SHA-256 of a file as it was at an instant (``changed``: nanoseconds since the epoch)."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def version_of(module: str) -> str:
    """Of the distribution that holds a module, or the hash of all modules of its package where it is in none.

    module: its dotted name. Nothing is imported. Raises ModuleNotFoundError where the package is not there.
    """
    package = module.partition(".")[0]
    if names := packages_distributions().get(package):
        return version(names[0])
    found = find_spec(package)
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    files = files or ([Path(found.origin)] if found and found.origin else [])
    if not files:
        raise ModuleNotFoundError(f"no package {package!r} is installed here")
    hashes = [_hash(file, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:12]
