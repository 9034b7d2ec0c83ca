"""The settings: each a generator that knows nothing of the system but its elements."""

from __future__ import annotations

import functools
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import Progress

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.crystals.validity import why_invalid
from niobe.loop.generators import Guided, Parent, PrototypeSubstitution, RandomSymmetric, Substitution
from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.models import load_surrogate, make_surrogate
from niobe.surrogates.protocols import FloatArray, Generator, Sample, SampleRequest, Surrogate
from tests.benchmarks.generators.store import read, write

if TYPE_CHECKING:
    import pandas as pd
    from pymatgen.core import Structure

DATA = Path(__file__).parents[4] / "shared" / "data"
ARMS = ("gan", "random", "prototype", "point_cloud", "gan_critic", "substitution")
MAX_ATOMS = 12
_CORPUS_ATOMS, _ENERGY_SCALE, _EPOCHS = 24, 0.1, 20
_UNSTABLE_THZ, _CRITIC_DRAWS, _SPARE = -0.5, 4, 3


def request(system: str) -> SampleRequest:
    """Any composition of all the system's elements in up to 12 atoms."""
    return SampleRequest(elements=tuple(sorted(system.split("-"))), max_atoms=MAX_ATOMS)


def draw(folder: Path, system: str, setting: str, n: int, seed: int) -> tuple[list[Sample], dict[str, int]]:
    """n samples that pass the screening every campaign applies, and how many were lost to what."""
    return draw_from(_generator(folder, system, setting), system, n, seed)


def draw_from(
    generator: Generator, system: str, n: int, seed: int, known: SeenStructures | None = None
) -> tuple[list[Sample], dict[str, int]]:
    """As ``draw``, of a generator; what is ``known`` already is lost as well."""
    asked = request(system)
    batch = generator.sample(asked, _SPARE * n, seed=seed)
    lost = Counter(batch.rejected)
    kept: list[Sample] = []
    for sample in batch.samples:
        if len(kept) == n:
            break
        reason = why_invalid(sample.structure, asked)
        if not reason and known is not None and known.find(sample.structure):
            reason = "known"
        if reason:
            lost[f"screened: {reason}"] += 1
        else:
            kept.append(sample)
    return kept, dict(lost)


def _generator(folder: Path, system: str, setting: str) -> Generator:
    if setting == "random":
        return RandomSymmetric()
    if setting == "prototype":
        return PrototypeSubstitution()
    if setting == "substitution":
        return Substitution(_low_crystals(system))
    if setting == "gan_critic":
        gan = trained_gan(folder, system, "symmetric")
        return Guided(gan, _phonon_surrogate(folder, system), draws=_CRITIC_DRAWS)
    return trained_gan(folder, system, "symmetric" if setting == "gan" else setting)


def _low_crystals(system: str) -> list[Parent]:
    """Corpus structures within 0.1 eV/atom of their hull, by their place in the corpus."""
    structures, above = corpus(system)
    return [Parent(str(i), structures[i]) for i in np.flatnonzero(above <= _ENERGY_SCALE)]


def trained_gan(folder: Path, system: str, representation: str) -> CrystalGAN:
    """The GAN of this representation, trained on the corpus without the system; kept in the folder."""
    checkpoint = folder / "models" / f"{system}-{representation}"
    if not (checkpoint / "gan.json").is_file():
        structures, above = corpus(system)
        gan = CrystalGAN(epochs=_EPOCHS, representation=representation)
        wall, cpu = time.monotonic(), time.process_time()
        with Progress() as progress:
            task = progress.add_task(f"training {representation}")
            gan.fit(
                structures,
                np.exp(-above / _ENERGY_SCALE),
                seed=1,
                report=lambda done, total: progress.update(task, completed=done, total=total),
            )
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        checkpoint.mkdir(parents=True, exist_ok=True)
        write(checkpoint / "training.json", {"structures": len(structures), "wall": wall, "cpu": cpu})
        gan.save(checkpoint)
    return CrystalGAN.load(checkpoint)


def training_of(folder: Path, system: str, representation: str) -> dict[str, Any]:
    """How many structures that GAN learned from, and the wall and CPU seconds it took."""
    trained_gan(folder, system, representation)
    return read(folder / "models" / f"{system}-{representation}" / "training.json")


def _phonon_surrogate(folder: Path, system: str) -> Surrogate:
    """P(dynamically stable) learned from PhononDB, labels below −0.5 THz called unstable."""
    checkpoint = folder / "models" / f"{system}-p_stable"
    if not (checkpoint / "surrogate.json").is_file():
        structures, labels = phonon_labels(system)
        model = make_surrogate("gbt", members=4, epochs=60)
        model.fit(structures, {"p_stable": labels}, seed=1)
        checkpoint.mkdir(parents=True, exist_ok=True)
        model.save(checkpoint)
    return load_surrogate(checkpoint)


@functools.cache
def corpus(system: str) -> tuple[list[Structure], FloatArray]:
    """Corpus structures and their e_above_hull (eV/atom), none of them of exactly the system's elements."""
    table = _table(system)
    return [_structure(row) for row in table.to_dict("records")], table["e_hull"].to_numpy(float)


def phonon_labels(system: str) -> tuple[list[Structure], FloatArray]:
    """Structures of PhononDB and whether they are stable, without the system."""
    import pandas as pd

    labels = pd.read_parquet(_data("dev_phonon_labels.parquet"))
    lowest = labels.dropna(subset=["min_freq_thz"]).groupby("material_id")["min_freq_thz"].first()
    table = _table(system)
    known = table[table["material_id"].isin(lowest.index)]
    stable = (lowest.loc[known["material_id"]].to_numpy() >= _UNSTABLE_THZ).astype(float)
    return [_structure(row) for row in known.to_dict("records")], stable


def _table(system: str) -> pd.DataFrame:
    import pandas as pd
    from pymatgen.core import Element

    table = pd.read_parquet(_data("dev_mp_structures.parquet"))
    own = {Element(symbol).Z for symbol in system.split("-")}
    foreign = table["numbers"].map(lambda numbers: set(numbers) != own)
    return table[foreign & (table["numbers"].map(len) <= _CORPUS_ATOMS)]


def _structure(row: dict[str, object]) -> Structure:
    from pymatgen.core import Element, Structure

    species = [Element.from_Z(int(z)) for z in np.asarray(row["numbers"])]
    lattice, coords = np.asarray(row["lattice"], float), np.asarray(row["frac_coords"], float)
    return Structure(lattice.reshape(3, 3), species, coords.reshape(-1, 3))


def _data(name: str) -> Path:
    if not (DATA / name).is_file():
        raise SystemExit(f"{DATA / name}: not there; this benchmark reads the shared corpus")
    return DATA / name
