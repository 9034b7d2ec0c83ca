"""The recipe of each network: how structures become batches, which module reads them, how it is trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from niobe.surrogates.representations.batches import Encoder, GraphEncoder, RowEncoder, SequenceEncoder
from niobe.surrogates.representations.image import images
from niobe.surrogates.training import Training

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Recipe:
    """How one network is made and fed.

    module: gives the network's class (torch is imported no earlier). options: its arguments. code: raised
    when the encoder writes a crystal otherwise than before, lest a checkpoint be fed what it did not learn.
    """

    module: Callable[[], type[nn.Module]]
    encoder: Encoder
    training: Training = field(default_factory=Training)
    options: Mapping[str, Any] = field(default_factory=dict)
    code: int = 1

    def network(self, outputs: int) -> nn.Module:
        """An untrained network, from torch's current random state."""
        return self.module()(outputs, **self.options)

    def with_options(self, options: Mapping[str, Any]) -> Recipe:
        """The recipe with arguments of the network and the encoder changed. Raises ValueError for others."""
        network = set(inspect.signature(self.module()).parameters) - {"outputs"}
        encoder = {part.name for part in fields(self.encoder)} - {"of", "composition"}  # type: ignore[arg-type]
        unknown = sorted(set(options) - network - encoder)
        if unknown:
            allowed = ", ".join(sorted(network | encoder)) or "none"
            raise ValueError(f"option {unknown[0]!r} is unknown; allowed: {allowed}")
        chosen = {name: value for name, value in options.items() if name in encoder}
        return replace(
            self,
            encoder=replace(self.encoder, **chosen),  # type: ignore[type-var]
            options={**self.options, **{n: v for n, v in options.items() if n in network}},
        )


def _elemnet() -> type[nn.Module]:
    from niobe.surrogates.networks.compositions import ElemNet

    return ElemNet


def _ptable_cnn() -> type[nn.Module]:
    from niobe.surrogates.networks.compositions import PeriodicTableCNN

    return PeriodicTableCNN


def _wyckoff_rnn() -> type[nn.Module]:
    from niobe.surrogates.networks.sequences import WyckoffRNN

    return WyckoffRNN


def _cgcnn() -> type[nn.Module]:
    from niobe.surrogates.networks.cgcnn import Cgcnn

    return Cgcnn


def _schnet() -> type[nn.Module]:
    from niobe.surrogates.networks.continuous import SchNet

    return SchNet


def _physnet() -> type[nn.Module]:
    from niobe.surrogates.networks.continuous import PhysNet

    return PhysNet


def _moments() -> type[nn.Module]:
    from niobe.surrogates.networks.moments import MomentNet

    return MomentNet


RECIPES = {
    "elemnet": Recipe(_elemnet, RowEncoder(), Training(rate=3e-4)),
    "ptable_cnn": Recipe(_ptable_cnn, RowEncoder(of=images)),
    "wyckoff_rnn": Recipe(_wyckoff_rnn, SequenceEncoder(), code=2),
    "cgcnn": Recipe(_cgcnn, GraphEncoder(cutoff=8.0, neighbours=12)),
    "schnet": Recipe(_schnet, GraphEncoder(cutoff=6.0, neighbours=24)),
    "physnet": Recipe(_physnet, GraphEncoder(cutoff=6.0, neighbours=24)),
    "moments": Recipe(_moments, GraphEncoder(cutoff=6.0, neighbours=12, composition=True)),
}
