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
from niobe.loop.generators.random_symmetric import roomiest
from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.gan.conditions import by_role
from niobe.surrogates.gan.representation import Crystal
from niobe.surrogates.gan.wyckoff import encode
from niobe.surrogates.models import load_surrogate, make_surrogate
from niobe.surrogates.protocols import FloatArray, Generator, Sample, SampleBatch, SampleRequest, Surrogate
from tests.benchmarks.generators.store import read, write
from tests.benchmarks.known_phases import SYSTEMS

if TYPE_CHECKING:
    import pandas as pd
    from pymatgen.core import Structure

DATA = Path(__file__).parents[4] / "shared" / "data"
ARMS = ("gan", "skeleton", "random", "prototype", "point_cloud", "gan_critic", "substitution")
HELD_OUT = ("Nb-O", "Ti-N", *SYSTEMS)
"""Systems whose compounds nothing learns from: one corpus, and one GAN, serve them all."""
MAX_ATOMS = 12
_CORPUS_ATOMS, _ENERGY_SCALE, _EPOCHS = 24, 0.1, 20
_UNSTABLE_THZ, _CRITIC_DRAWS, _SPARE = -0.5, 4, 3


def request(system: str) -> SampleRequest:
    """Any composition of all the system's elements in up to 12 atoms."""
    if system not in HELD_OUT:
        raise SystemExit(f"{system}: the generators learn from it; held out are {', '.join(HELD_OUT)}")
    return SampleRequest(elements=tuple(sorted(system.split("-"))), max_atoms=MAX_ATOMS)


def draw(folder: Path, system: str, setting: str, n: int, seed: int) -> tuple[list[Sample], dict[str, int]]:
    """n samples that pass the screening every campaign applies, and how many were lost to what."""
    return draw_from(_generator(folder, setting), system, n, seed)


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


def _generator(folder: Path, setting: str) -> Generator:
    if setting == "random":
        return RandomSymmetric()
    if setting == "prototype":
        return PrototypeSubstitution()
    if setting == "substitution":
        return Substitution(_low_crystals())
    if setting == "gan_critic":
        gan = trained_gan(folder, "symmetric")
        return Guided(gan, _phonon_surrogate(folder), draws=_CRITIC_DRAWS)
    if setting == "skeleton":
        return RandomGeometry(trained_gan(folder, "symmetric"))
    return trained_gan(folder, "symmetric" if setting == "gan" else setting)


def _low_crystals() -> list[Parent]:
    """Corpus structures within 0.1 eV/atom of their hull, by their place in the corpus."""
    structures, above = corpus()
    return [Parent(str(i), structures[i]) for i in np.flatnonzero(above <= _ENERGY_SCALE)]


class RandomGeometry:
    """The skeletons of a GAN's samples (space group, Wyckoff letters, elements) with lattice and free
    coordinates at random, the roomiest of as many as the GAN draws. Implements Generator."""

    name = "skeleton"

    def __init__(self, gan: CrystalGAN) -> None:
        self._gan = gan

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """One for each sample of the GAN, but for those where all geometries were crowded."""
        batch = self._gan.sample(request, n, seed=seed)
        rng = np.random.default_rng(seed)
        found = [self._again(sample.structure, rng) for sample in batch.samples]
        kept = tuple(Sample(crystal.structure(), {}) for crystal in found if crystal)
        return SampleBatch(kept, dict(batch.rejected) | {"crowded": len(found) - len(kept)})

    def _again(self, structure: Structure, rng: np.random.Generator) -> Crystal | None:
        elements = by_role(structure.symbol_set)
        skeleton = encode(structure, elements)
        if skeleton is None:
            return None
        return roomiest(skeleton.space_group, [(o.letter, elements[o.role]) for o in skeleton.orbits], rng)


def trained_gan(folder: Path, representation: str) -> CrystalGAN:
    """The GAN of this representation, trained on the corpus without what is held out; kept in the folder."""
    checkpoint = folder / "models" / representation
    if not (checkpoint / "gan.json").is_file():
        structures, above = corpus()
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


def training_of(folder: Path, representation: str) -> dict[str, Any]:
    """How many structures that GAN learned from, and the wall and CPU seconds it took."""
    trained_gan(folder, representation)
    return read(folder / "models" / representation / "training.json")


def _phonon_surrogate(folder: Path) -> Surrogate:
    """P(dynamically stable) learned from PhononDB, labels below −0.5 THz called unstable."""
    checkpoint = folder / "models" / "p_stable"
    if not (checkpoint / "surrogate.json").is_file():
        structures, labels = phonon_labels()
        model = make_surrogate("gbt", members=4, epochs=60)
        model.fit(structures, {"p_stable": labels}, seed=1)
        checkpoint.mkdir(parents=True, exist_ok=True)
        model.save(checkpoint)
    return load_surrogate(checkpoint)


@functools.cache
def corpus() -> tuple[list[Structure], FloatArray]:
    """Corpus structures and their e_above_hull (eV/atom), without what is held out."""
    table = _table()
    return [_structure(row) for row in table.to_dict("records")], table["e_hull"].to_numpy(float)


def phonon_labels() -> tuple[list[Structure], FloatArray]:
    """Structures of PhononDB and whether they are stable, without what is held out."""
    import pandas as pd

    labels = pd.read_parquet(_data("dev_phonon_labels.parquet"))
    lowest = labels.dropna(subset=["min_freq_thz"]).groupby("material_id")["min_freq_thz"].first()
    table = _table()
    known = table[table["material_id"].isin(lowest.index)]
    stable = (lowest.loc[known["material_id"]].to_numpy() >= _UNSTABLE_THZ).astype(float)
    return [_structure(row) for row in known.to_dict("records")], stable


def _table() -> pd.DataFrame:
    import pandas as pd
    from pymatgen.core import Element

    table = pd.read_parquet(_data("dev_mp_structures.parquet"))
    held_out = {frozenset(Element(symbol).Z for symbol in system.split("-")) for system in HELD_OUT}
    foreign = table["numbers"].map(lambda numbers: frozenset(numbers) not in held_out)
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
