"""From structures to the tensors a network takes: what is computed once, and how a batch is put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.representations.composition import fractions, scaled_magpie
from niobe.surrogates.representations.crystal_graph import crystal_graph
from niobe.surrogates.representations.sequence import WyckoffSequence, wyckoff_sequence
from niobe.surrogates.representations.symmetry import LETTERS

if TYPE_CHECKING:
    import torch
    from pymatgen.core import Structure

Item = dict[str, NDArray[np.float32] | NDArray[np.int64]]
Batch = dict[str, "torch.Tensor"]


class Encoder(Protocol):
    """Turns structures into items (arrays, computed once) and items into one batch of tensors."""

    def encode(self, structures: Sequence[Structure]) -> list[Item]:
        """One item a structure. Raises ValueError for a structure that is not sound."""

    def collate(self, items: Sequence[Item]) -> Batch:
        """One batch: each entry's first axis is structures, atoms or edges."""


@dataclass(frozen=True)
class RowEncoder:
    """A fixed-length row per structure, element fractions unless said otherwise: ``rows`` (n, d)."""

    of: Callable[[Sequence[Structure]], NDArray[np.float64]] = fractions

    def encode(self, structures: Sequence[Structure]) -> list[Item]:
        """See Encoder."""
        return [{"rows": row.astype(np.float32)} for row in self.of(structures)]

    def collate(self, items: Sequence[Item]) -> Batch:
        """See Encoder."""
        import torch

        return {"rows": torch.from_numpy(np.stack([item["rows"] for item in items]))}


@dataclass(frozen=True)
class SequenceEncoder:
    """The Wyckoff sequence: group (n,), and elements, letters and shares (n, most sites) with zeros after.

    sites: shape (n,), how many of them are real.
    """

    def encode(self, structures: Sequence[Structure]) -> list[Item]:
        """See Encoder."""
        return [self._item(wyckoff_sequence(structure)) for structure in structures]

    def _item(self, sequence: WyckoffSequence) -> Item:
        numbers, letters, shares = zip(*sequence.orbits, strict=True)
        return {
            "group": np.array(sequence.group),
            "elements": np.array(numbers, dtype=np.int64),
            "letters": np.array([LETTERS.index(letter) + 1 for letter in letters], dtype=np.int64),
            "shares": np.array(shares, dtype=np.float32),
        }

    def collate(self, items: Sequence[Item]) -> Batch:
        """See Encoder."""
        import torch

        tensors = {
            name: torch.nn.utils.rnn.pad_sequence(
                [torch.from_numpy(i[name]) for i in items], batch_first=True
            )
            for name in ("elements", "letters", "shares")
        }
        group = torch.tensor([int(item["group"]) for item in items])
        return tensors | {"group": group, "sites": torch.tensor([len(item["elements"]) for item in items])}


@dataclass(frozen=True)
class GraphEncoder:
    """A crystal graph a structure; with ``composition`` its Magpie row and log volume per atom too.

    A batch holds numbers (atoms,), owner (atoms,): the structure of an atom, center and neighbour (edges,),
    vectors (edges, 3) and distances (edges,) in Å, atoms (structures,): how many each has, and, with
    composition, rows (structures, 133).
    """

    cutoff: float
    neighbours: int
    composition: bool = False

    def encode(self, structures: Sequence[Structure]) -> list[Item]:
        """See Encoder."""
        items = [self._graph(structure) for structure in structures]
        if self.composition:
            for item, structure, row in zip(items, structures, scaled_magpie(structures), strict=True):
                volume = np.log(structure.volume / len(structure))
                item["rows"] = np.append(row, volume).astype(np.float32)
        return items

    def _graph(self, structure: Structure) -> Item:
        graph = crystal_graph(structure, cutoff=self.cutoff, neighbours=self.neighbours)
        return {
            "numbers": graph.numbers,
            "center": graph.center,
            "neighbour": graph.neighbour,
            "vectors": graph.vectors.astype(np.float32),
            "distances": graph.distances.astype(np.float32),
        }

    def collate(self, items: Sequence[Item]) -> Batch:
        """See Encoder."""
        import torch

        atoms = np.array([len(item["numbers"]) for item in items])
        edges = np.array([len(item["center"]) for item in items])
        shift = np.repeat(np.cumsum(atoms) - atoms, edges)
        joined = {name: np.concatenate([item[name] for item in items]) for name in items[0] if name != "rows"}
        joined["center"] = joined["center"] + shift
        joined["neighbour"] = joined["neighbour"] + shift
        joined["owner"] = np.repeat(np.arange(len(items)), atoms)
        joined["atoms"] = atoms
        if self.composition:
            joined["rows"] = np.stack([item["rows"] for item in items])
        return {name: torch.from_numpy(array) for name, array in joined.items()}
