"""VASP oracle: atomate2's Materials Project Makers, run by custodian with what this machine calls VASP.

What runs is the user's own choice, made where atomate2 and pymatgen look: ``ATOMATE2_VASP_CMD`` or
``~/.atomate2.yaml``, ``PMG_VASP_PSP_DIR`` or ``~/.pmgrc.yaml``. mock-vasp is found the same way.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from niobe.config.errors import ConfigError
from niobe.config.oracles.spec import Functional
from niobe.config.potentials import LABELS, Labels
from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import (
    FIND_FMAX,
    KILOBAR,
    Answer,
    CalculationDiedError,
    Deadline,
    NoCureError,
    NotConvergedError,
    UnknownFingerprintError,
    fmax_with_stress,
    relaxed_by,
    run_job,
)
from niobe.flows.oracles.potentials import (
    MAX_VOLUME_PER_ATOM,
    MIN_VOLUME_PER_ATOM,
    UnphysicalAnswerError,
    WallTimeError,
)
from niobe.loop.crystals.symmetry import antiferromagnetic
from niobe.loop.stability.corrections import scheme

if TYPE_CHECKING:
    from pymatgen.core import Structure
    from pymatgen.io.vasp.inputs import PotcarSingle

_DIGITS_OF_HASH = 12
_CONVERGED = "reached required accuracy"
_MOCK = "mock"
_POLL_SECONDS = 0.1
_POLLS_PER_CHECK = 50
_RUN_TYPES = {"PBE": "GGA", "PBE+U": "GGA+U"}  # emmet's words in those of MP2020
# Forces for phonons need tighter electrons than MPStaticSet asks for; tighter is compatible with MP2020.
_EDIFF_OF_FINDS = 1e-6  # eV; what MPRelaxSet asks for leaves noise of more than FIND_FMAX in the forces
_STATIC_TAGS = {"EDIFF": 1e-7, "LREAL": False}
# Tetrahedra (ISMEAR -5) give energies well and the forces of metals badly.
_DISPLACED_TAGS = _STATIC_TAGS | {"ISMEAR": 0, "SIGMA": 0.05}


@dataclass
class VaspOracle:
    """Double relaxation and static runs with Materials Project's input sets: MPRelaxSet and MPStaticSet (PBE,
    PBE+U for its oxides), or MPScanRelaxSet and MPScanStaticSet (r2SCAN), which MP2020 does not correct."""

    spec: OracleSpec
    is_dft: ClassVar[bool] = True
    _deadline: Deadline = field(default_factory=Deadline, init=False)
    _version: str = field(default="", init=False)

    @staticmethod
    def check_machine(spec: CampaignSpec) -> None:
        """Raises ConfigError where this machine has no VASP command or lacks a POTCAR the campaign needs."""
        _check_commands()
        _check_potcars(spec)

    @property
    def _by_r2scan(self) -> bool:
        return self.spec.functional == "r2SCAN"

    @property
    def fingerprint(self) -> str:
        """Known once something was answered, as only the program itself says what it is.

        Raises UnknownFingerprintError before.
        """
        if not self._version:
            raise UnknownFingerprintError("VASP has not answered yet, so its version is not known")
        by = scheme() if self.spec.corrections == "mp2020" else "corrected by MP2020"
        updates = incar_updates()
        if is_mock(self._version):
            r2scan = " MP r2SCAN" if self._by_r2scan else ""
            return f"mock-vasp {self._version}{r2scan}{updates}, {by if self.corrected else 'uncorrected'}"
        if self._by_r2scan:
            return f"VASP {self._version} MP r2SCAN{updates}, uncorrected"
        return f"VASP {self._version} MP PBE/PBE+U{updates}, {by}"

    @property
    def corrected(self) -> bool:
        """Of the mock as of the potential it answers with."""
        if self._by_r2scan:
            return False
        if not is_mock(self._version):
            return True
        raw = mock_labels(self._version) == "GGA/GGA+U"
        return raw and self.spec.corrections == "mp2020"

    def potcars(self, elements: Iterable[str]) -> dict[str, str]:
        """Name and hash of each element's POTCAR, by symbol; without those that are not on this machine.

        elements: symbols.
        """
        return potcars_here(elements, self.spec.functional)

    def relax(self, structure: Structure, folder: Path) -> Answer:
        """Relax cell and sites twice, as plane waves are chosen for the first cell; all that once more where
        it leaves stress, which VASP does not look at. Raises NotConvergedError.
        """
        return relaxed_by(lambda start: self._relax_once(start, folder), structure, self.spec.fmax)

    def _relax_once(self, structure: Structure, folder: Path) -> Answer:
        tight = self.spec.model_copy(update={"fmax": fmax_with_stress(structure, self.spec.fmax)})
        document, order = self._calculate(relax_maker(tight), structure, folder)
        require_finished(document, self.spec)
        return self._answer(document, order)

    def static(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        """Energy and forces, one run each."""
        return self._run_each(static_maker(_STATIC_TAGS, self.spec.functional), structures, folder)

    def displaced(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        """Forces in the displaced supercells of phonons, smeared so that they are right in metals too."""
        return self._run_each(static_maker(_DISPLACED_TAGS, self.spec.functional), structures, folder)

    def _run_each(self, maker: Any, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        return [self._answer(*self._calculate(maker, structure, folder)) for structure in structures]

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Stop VASP once ``seconds`` of wall time are used."""
        return self._deadline.within(seconds)

    def _calculate(self, maker: Any, structure: Structure, folder: Path) -> tuple[Any, NDArray[np.int64]]:
        """The last task document of one calculation, and the order its sites were written in."""
        order = _written_order(structure)
        ready = with_deadline(maker, self._deadline.at)
        ordered = type(structure).from_sites([structure[i] for i in order])
        document = self._bounded(lambda: run_job(ready.make(ordered), folder))
        self._version = document.vasp_version
        check_answer(document)
        return document, order

    def _bounded(self, run: Callable[[], Any]) -> Any:
        """Run again what died (killed, crashed, files cut short or missing): custodian gives up on these.

        Raises CalculationDiedError after ``retries`` more attempts, WallTimeError past the deadline, and
        NoCureError where custodian's corrections did not help.
        """
        from custodian.custodian import CustodianError, ReturnCodeError, ValidationError

        for attempt in range(1, self.spec.retries + 2):
            try:
                return run()
            except (ReturnCodeError, ValidationError) as error:
                last, attempts = error, attempt
            except CustodianError as error:
                if time.time() > self._deadline.at:
                    raise WallTimeError("wall time of one validation used up") from error
                raise NoCureError(f"{type(error).__name__}: {error}") from error
        raise CalculationDiedError(f"{attempts} attempts: {last}") from last

    def _answer(self, document: Any, order: NDArray[np.int64]) -> Answer:
        from pymatgen.core import Structure

        back = np.argsort(order)
        relaxed = document.output.structure
        ended = Structure(relaxed.lattice, [relaxed[i].specie for i in back], relaxed.frac_coords[back])
        if antiferromagnetic(relaxed):  # what follows would start ferromagnetic without its moments
            ended.add_site_property("magmom", [relaxed.site_properties["magmom"][i] for i in back])
        return Answer(
            structure=ended,
            energy=float(document.output.energy),
            forces=np.asarray(document.output.forces, dtype=float)[back],
            steps=len(document.calcs_reversed[0].output.ionic_steps),
            parameters=run_parameters(document),
            stress=_stress(document),
            potcars=self.potcars({site.specie.symbol for site in ended}),
        )


def relax_maker(spec: OracleSpec) -> Any:
    """atomate2's double relaxation of Materials Project with the campaign's largest force and number of
    steps; by r2SCAN the first of the two is by PBEsol."""
    from atomate2.vasp.flows.mp import MPGGADoubleRelaxMaker, MPMetaGGADoubleRelaxMaker
    from atomate2.vasp.powerups import update_user_incar_settings

    tags = {"EDIFFG": -spec.fmax, "NSW": spec.max_steps}
    if spec.fmax <= FIND_FMAX:
        tags["EDIFF"] = _EDIFF_OF_FINDS
    maker = MPMetaGGADoubleRelaxMaker if spec.functional == "r2SCAN" else MPGGADoubleRelaxMaker
    return update_user_incar_settings(maker(), tags)


def static_maker(tags: Mapping[str, Any], functional: Functional) -> Any:
    """atomate2's static run of Materials Project with some INCAR tags of ours."""
    from atomate2.vasp.jobs.mp import MPGGAStaticMaker, MPMetaGGAStaticMaker
    from atomate2.vasp.powerups import update_user_incar_settings

    maker = MPMetaGGAStaticMaker if functional == "r2SCAN" else MPGGAStaticMaker
    return update_user_incar_settings(maker(), dict(tags))


def with_deadline(maker: Any, at: float) -> Any:
    """The Maker with this machine's VASP command, prompt custodian and an end at ``at`` (epoch seconds)."""
    from atomate2.settings import Atomate2Settings
    from atomate2.vasp.jobs.base import BaseVaspMaker
    from atomate2.vasp.run import DEFAULT_HANDLERS

    from niobe.flows.oracles.vasp_deadline import DeadlineHandler

    settings = Atomate2Settings()
    run = {
        "vasp_cmd": settings.VASP_CMD,
        "vasp_gamma_cmd": settings.VASP_GAMMA_CMD,
        "handlers": [*DEFAULT_HANDLERS, DeadlineHandler(at)],
        "custodian_kwargs": {"polling_time_step": _POLL_SECONDS, "monitor_freq": _POLLS_PER_CHECK},
    }
    changes = {"run_vasp_kwargs": run, "stop_children_kwargs": {"handle_unsuccessful": False}}
    return maker.update_kwargs(changes, class_filter=BaseVaspMaker)


def incar_updates() -> str:
    """What VASP_INCAR_UPDATES of the user's atomate2 settings changes, as fingerprints say it."""
    from atomate2.settings import Atomate2Settings

    updates = Atomate2Settings().VASP_INCAR_UPDATES
    tags = " ".join(f"{tag}={updates[tag]}" for tag in sorted(updates))
    return f" with {tags}" if tags else ""


def is_mock(version: str) -> bool:
    """Whether the program that calls itself ``version`` is mock-vasp."""
    return _MOCK in version


def mock_labels(version: str) -> Labels:
    """The scale of the potential in the version that mock-vasp gives, such as ``6.0.0-mock 7net-0-…``."""
    name = version.split()[-1].rpartition("-")[0]
    return LABELS[name]


def run_parameters(document: Any) -> dict[str, Any]:
    """Run type, U and POTCARs of a task document in pymatgen's words."""
    parameters = dict(document.structure_entry.parameters)
    run_type = parameters["run_type"]
    return parameters | {"run_type": _RUN_TYPES.get(run_type, run_type)}


def _stress(document: Any) -> NDArray[np.float64] | None:
    """GPa, of VASP's kilobar."""
    found = document.output.stress
    return None if found is None else np.asarray(found, dtype=float) * KILOBAR


def check_answer(document: Any) -> None:
    """Raises UnphysicalAnswerError or NotConvergedError: a state ``successful`` does not rule these out."""
    output = document.output
    if output.energy is None or not np.isfinite(output.energy):
        raise UnphysicalAnswerError(f"energy {output.energy} is not finite")
    if output.forces is None or not np.isfinite(output.forces).all():
        raise UnphysicalAnswerError("forces are missing or not finite")
    volume = output.structure.volume / len(output.structure)
    if not MIN_VOLUME_PER_ATOM <= volume <= MAX_VOLUME_PER_ATOM:
        raise UnphysicalAnswerError(
            f"volume {volume:.3g} Å³/atom; allowed {MIN_VOLUME_PER_ATOM} to {MAX_VOLUME_PER_ATOM}"
        )
    if document.state != "successful":
        raise NotConvergedError(f"VASP ended {document.state}: electrons or ions did not converge")


def require_finished(document: Any, spec: OracleSpec) -> None:
    """Raises NotConvergedError for forces above fmax, or an OUTCAR that does not say it converged.

    A run stopped softly at its wall time is ``successful`` too.
    """
    from monty.io import zopen
    from monty.os.path import zpath

    largest = float(np.linalg.norm(document.output.forces, axis=1).max())
    if largest > spec.fmax:
        raise NotConvergedError(f"largest force {largest:.3g} eV/Å; fmax {spec.fmax}")
    folder = Path(document.dir_name.rpartition(":")[2])
    with zopen(zpath(folder / "OUTCAR"), "rt", encoding="utf-8") as outcar:
        if not any(_CONVERGED in line for line in outcar):
            raise NotConvergedError("the OUTCAR does not say that the relaxation converged")


def _check_commands() -> None:
    from atomate2.settings import Atomate2Settings

    settings = Atomate2Settings()
    for variable, command in (
        ("ATOMATE2_VASP_CMD", settings.VASP_CMD),
        ("ATOMATE2_VASP_GAMMA_CMD", settings.VASP_GAMMA_CMD),
    ):
        words = shlex.split(os.path.expandvars(command))
        if not words or shutil.which(words[0]) is None:
            raise ConfigError(f"oracle vasp: {variable}={command!r}: no such program; see docs/vasp.md")


def _check_potcars(spec: CampaignSpec) -> None:
    from pymatgen.core import SETTINGS

    inputs, release = _input_set(spec.oracle.functional)
    folder = SETTINGS.get("PMG_VASP_PSP_DIR")
    if not folder or not Path(folder).expanduser().is_dir():
        raise ConfigError(f"oracle vasp: PMG_VASP_PSP_DIR={folder or ''!r}: no such folder; see docs/vasp.md")
    names = inputs.CONFIG["POTCAR"]
    for element in spec.elements:
        if element not in names:
            raise ConfigError(f"oracle vasp: {inputs.__name__} names no POTCAR for {element}")
        try:
            _potcar(names[element], release)
        except OSError:
            wanted = f"POTCAR of {names[element]} ({release})"
            raise ConfigError(
                f"oracle vasp: no {wanted} in PMG_VASP_PSP_DIR={folder}; see docs/vasp.md"
            ) from None


def potcars_here(elements: Iterable[str], functional: Functional) -> dict[str, str]:
    """Name and hash of each element's POTCAR, such as ``Nb_pv 0123456789ab``, by symbol; without those that
    this machine does not have.

    elements: symbols. functional: whose input sets name them.
    """
    from pymatgen.io.vasp.inputs import PmgVaspPspDirError

    inputs, release = _input_set(functional)
    found = {}
    for element in sorted(set(elements) & inputs.CONFIG["POTCAR"].keys()):
        name = inputs.CONFIG["POTCAR"][element]
        try:
            content = _potcar(name, release).data
        except (OSError, PmgVaspPspDirError):
            continue
        found[element] = f"{name} {hashlib.sha256(content.encode()).hexdigest()[:_DIGITS_OF_HASH]}"
    return found


def _input_set(functional: Functional) -> tuple[Any, str]:
    """The input set of a functional and the release of POTCARs that it wants."""
    from pymatgen.io.vasp.sets import MPRelaxSet, MPScanRelaxSet

    return (MPScanRelaxSet, "PBE_54") if functional == "r2SCAN" else (MPRelaxSet, "PBE")


def _potcar(name: str, release: str) -> PotcarSingle:
    from pymatgen.io.vasp.inputs import PotcarSingle, UnknownPotcarWarning

    with warnings.catch_warnings(action="ignore", category=UnknownPotcarWarning):
        return PotcarSingle.from_symbol_and_functional(name, release)


def _written_order(structure: Structure) -> NDArray[np.int64]:
    """The sites in the order in which an input set writes them."""
    return np.array(sorted(range(len(structure)), key=lambda i: structure[i]))
