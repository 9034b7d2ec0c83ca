"""Draw each setting's samples once, then relax them in turn with the oracle; what is stored is not
repeated."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from niobe.config.spec import CampaignSpec, Oracle
from niobe.flows.oracles.calculation import phonons, validate_structure
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure
from niobe.loop.generators.elements import elemental_references
from niobe.loop.generators.prototypes import decorated_prototypes
from niobe.surrogates.protocols import Sample
from tests.benchmarks.generators.settings import draw
from tests.benchmarks.generators.store import Run, read, stored, structure, write
from tests.benchmarks.known_phases import ground_states

# Phases known to nature of up to 12 atoms that AFLOW's library holds, of systems without development rows.
KNOWN = {
    "Nb-O": ("AB_cP6_221_c_d Nb-O", "A2B_tP6_136_f_a O-Nb"),
    "Ti-N": ("AB_cF8_225_a_b N-Ti", "A2B_tP6_136_f_a Ti-N"),
}


def settings(system: str) -> CampaignSpec:
    """The oracle of every setting: 7net-0 to 0.05 eV/Å, a minute a relaxation and five a phonon spectrum."""
    oracle = Oracle(name="7net-0", fmax=0.05, max_steps=150, wall_time=300.0, retries=0)
    return CampaignSpec(id="generators", elements=tuple(system.split("-")), oracle=oracle)


def draw_samples(root: Path, run: Run, n: int) -> list[Structure]:
    """The samples of a run, drawn once."""
    return drawn_once(run.folder(root), n, lambda: draw(root, run.system, run.setting, n, run.seed))


def drawn_once(
    folder: Path, n: int, draw: Callable[[], tuple[list[Sample], dict[str, int]]]
) -> list[Structure]:
    """The first n samples that the folder holds, or what ``draw`` gives, stored with what it lost."""
    file = folder / "samples.json"
    if not file.is_file() or read(file)["asked"] < n:
        started = time.monotonic()
        samples, lost = draw()
        content = {
            "asked": n,
            "structures": [sample.structure.as_dict() for sample in samples],
            "lost": lost,
            "seconds": time.monotonic() - started,
        }
        write(file, content)
    return [Structure.from_dict(found) for found in read(file)["structures"][:n]]


def relax_references(root: Path, system: str) -> None:
    """Elements and known phases of the system, relaxed as the samples are."""
    if system in KNOWN:
        library = decorated_prototypes(settings(system).elements, 12)
        known = [pair for pair in library if pair[0] in KNOWN[system]]
    else:
        known = ground_states(system)
    for label, reference in [*elemental_references(settings(system).elements), *known]:
        file = root / system / "references" / f"{label.replace(' ', '_')}.json"
        if not file.is_file():
            write(file, _relax(system, reference, root / "work") | {"label": label})


def relax_samples(root: Path, drawn: Mapping[Run, Sequence[Structure]], until: float) -> None:
    """Relax sample by sample, every setting in turn, until done or the monotonic clock says ``until``."""
    for index in range(max(map(len, drawn.values()))):
        for run, samples in drawn.items():
            file = run.folder(root) / f"relaxed-{index:04d}.json"
            if index >= len(samples) or file.is_file():
                continue
            if time.monotonic() > until:
                return
            write(file, _relax(run.system, samples[index], root / "work"))


def _relax(system: str, candidate: Structure, work: Path) -> dict[str, Any]:
    spec = settings(system)
    started = time.monotonic()
    answer = validate_structure(spec, make_oracle(spec.oracle), candidate, work)
    shutil.rmtree(work, ignore_errors=True)
    seconds = time.monotonic() - started
    if isinstance(answer, Failure):
        return {"failed": answer.cause, "message": answer.message, "wall": seconds}
    return answer.model_dump(mode="json") | {"wall": seconds}


def run_phonons(root: Path, system: str, files: Sequence[Path], until: float) -> None:
    """Phonons of relaxed samples, stored beside them."""
    spec = settings(system)
    for file in files:
        beside = file.with_name(file.name.replace("relaxed", "phonons"))
        if beside.is_file():
            continue
        if time.monotonic() > until:
            return
        started = time.monotonic()
        outcome = phonons(spec, make_oracle(spec.oracle), structure(read(file)), root / "work")
        shutil.rmtree(root / "work", ignore_errors=True)
        wall = {"wall": time.monotonic() - started}
        if isinstance(outcome, Failure):
            write(beside, {"outcome": "undecided", "reason": outcome.message} | wall)
        else:
            write(beside, outcome[0].verdict.model_dump(mode="json") | {"modes": outcome[0].modes} | wall)


def relaxed(root: Path, run: Run) -> list[tuple[Path, dict[str, Any]]]:
    """What of a run has been relaxed so far, in order."""
    return list(stored(run.folder(root), "relaxed-*.json"))


def seconds_of(root: Path, runs: Iterable[Run]) -> float:
    """How long drawing, relaxations and phonons of these runs took so far."""
    folders = [run.folder(root) for run in runs]
    done = [content["wall"] for folder in folders for _, content in stored(folder, "[rp]*-*.json")]
    drawn = [content["seconds"] for folder in folders for _, content in stored(folder, "samples.json")]
    return sum(done) + sum(drawn)
