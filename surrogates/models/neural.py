"""Deep ensembles of any network, calibrated on a held part; they abstain outside their domain.

Source: Lakshminarayanan et al., NeurIPS 2017.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.config.atomic import write_whole
from niobe.config.outside.json_text import read_object
from niobe.surrogates.calibration import LEVEL, Scaling, Sharpness, conformal_scaling, platt_scaling
from niobe.surrogates.domain import Domain, Trained, chemistries_of
from niobe.surrogates.identity import OutdatedCheckpointError, origin_of
from niobe.surrogates.models.recipes import RECIPES, Recipe
from niobe.surrogates.models.targets import PROBABILITIES, Baseline, Constant, checked, constant
from niobe.surrogates.protocols import FloatArray, Prediction
from niobe.surrogates.representations.batches import Item
from niobe.surrogates.representations.composition import fractions
from niobe.surrogates.training import LOSSES, History, Rows, Training, embeddings, train

if TYPE_CHECKING:
    from pymatgen.core import Structure
    from torch import nn

Indices = NDArray[np.int64]
_HELD = 0.1
_MIN_HELD = 4
_MAX_HELD = 600
_OF_A_KIND = 20
_CERTAIN = 0.02


@dataclass(frozen=True)
class _Head:
    """One learned target: its baseline and what calibrates it."""

    baseline: Baseline
    scaling: Scaling
    sharpness: Sharpness


class NeuralSurrogate:
    """An ensemble of networks of one recipe; all targets share a network. Implements Surrogate.

    options: arguments of the network (width, layers, …) and of its encoder, and the ``rate``. training:
    how, ``epochs`` aside. work: a folder in which an interrupted ``fit`` goes on. Raises ValueError for an
    unknown recipe or option.
    name: a key of RECIPES. members: networks of the ensemble. epochs: of each.
    """

    def __init__(
        self,
        name: str,
        *,
        members: int,
        epochs: int,
        options: Mapping[str, Any] | None = None,
        training: Training | None = None,
        work: Path | None = None,
    ) -> None:
        self.name, self._members, self._options, self._work = name, members, dict(options or {}), work
        shape = {option: value for option, value in self._options.items() if option != "rate"}
        self._recipe: Recipe = RECIPES[name].with_options(shape)
        chosen = training or self._recipe.training
        self._training = replace(chosen, epochs=epochs, rate=self._options.get("rate", chosen.rate))
        self._networks: list[nn.Module] = []
        self._heads: dict[str, _Head] = {}
        self._constants: dict[str, Constant] = {}
        self._domain: Domain | None = None
        self._learned_from: dict[str, Any] = {}
        self.histories: list[History] = []

    @classmethod
    def make(
        cls, name: str, *, members: int, epochs: int, options: Mapping[str, Any], work: Path | None
    ) -> NeuralSurrogate:
        """See SurrogateKind.make.

        name, members, epochs, options, work: as in the class.
        """
        return cls(name, members=members, epochs=epochs, options=options, work=work)

    def fit(self, structures: Sequence[Structure], targets: Mapping[str, FloatArray], *, seed: int) -> None:
        """See Surrogate.fit. A tenth of the rows is held back for calibration.

        structures: n. targets: labels (n,) by name, NaN unknown. seed: of held rows, weights and batches.
        """
        known = checked(structures, targets)
        self._learned_from = origin_of(structures, known, seed)
        constants = {name: constant(name, labels) for name, labels in known.items()}
        self._constants = {name: answer for name, answer in constants.items() if answer is not None}
        learned = {name: labels for name, labels in known.items() if constants[name] is None}
        items, shares = self._recipe.encoder.encode(structures), fractions(structures)
        kinds = chemistries_of(structures)
        held = held_rows(kinds, seed)
        self._train(items, shares, learned, held, seed)
        embedded = self._embedded(items)
        self._domain = Domain.fit(structures, embedded[0])
        asked, rows = [structures[i] for i in held], [every[held] for every in embedded]
        trained = Trained.of(self._domain, asked, rows[0])
        self._calibrate(rows, shares[held], {name: labels[held] for name, labels in learned.items()}, trained)

    def _train(
        self,
        items: Sequence[Item],
        shares: FloatArray,
        learned: Mapping[str, FloatArray],
        held: Indices,
        seed: int,
    ) -> None:
        kept = np.setdiff1d(np.arange(len(items)), held)
        bases = {name: Baseline.fit(name, shares[kept], labels[kept]) for name, labels in learned.items()}
        self._heads = {name: _Head(b, Scaling(1.0, b.scale), Sharpness()) for name, b in bases.items()}
        self._networks = [self._untrained(seed + member) for member in range(self._members)]
        if learned:
            reduced = [bases[name].reduced(shares, labels) for name, labels in learned.items()]
            table = np.stack(reduced, axis=1)
            rows, valid = (Rows([items[i] for i in part], table[part]) for part in (kept, held))
            self.histories = [self._train_member(m, rows, valid, seed) for m in range(self._members)]

    def _train_member(self, member: int, rows: Rows, valid: Rows, seed: int) -> History:
        return train(
            self._networks[member],
            self._recipe.encoder,
            rows,
            valid,
            self._training,
            seed=seed + member,
            binary=[name in PROBABILITIES for name in self._heads],
            folder=self._work / f"member-{member}" if self._work else None,
        )

    def _untrained(self, seed: int) -> nn.Module:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self._recipe.network(max(len(self._heads), 1) * LOSSES[self._training.loss])
        return network.eval()

    def _calibrate(
        self,
        embedded: Sequence[FloatArray],
        shares: FloatArray,
        labels: Mapping[str, FloatArray],
        trained: Trained,
    ) -> None:
        """embedded: (n, d) a member, of held rows. shares: (n, 103). labels: (n,) by target."""
        for name, (mean, spread) in self._answers(embedded, shares).items():
            truth, head = labels[name], self._heads[name]
            known = ~np.isnan(truth)
            if name in PROBABILITIES:
                head = replace(head, sharpness=platt_scaling(mean[known], truth[known]))
            else:
                known &= trained.inside
                errors = (mean - truth)[known] / trained.strain[known]
                fallback, kinds = head.baseline.scale, trained.kinds[known]
                scaling = conformal_scaling(errors, spread[known], fallback=fallback, kinds=kinds)
                head = replace(head, scaling=scaling)
            self._heads[name] = head

    def _embedded(self, items: Sequence[Item]) -> list[FloatArray]:
        """What each member's head sees, (n, d) each."""
        encoder, device = self._recipe.encoder, self._training.device
        return [embeddings(network, encoder, items, device).numpy() for network in self._networks]

    def _outputs(self, embedded: Sequence[FloatArray]) -> FloatArray:
        """Shape (members, n, targets, outputs a target)."""
        import torch

        with torch.inference_mode():
            heads = [network.get_submodule("head") for network in self._networks]
            given = [torch.from_numpy(rows).to(self._training.device) for rows in embedded]
            found = [head(rows).cpu() for head, rows in zip(heads, given, strict=True)]
        raw = torch.stack(found).double().numpy()
        return raw.reshape(len(found), len(raw[0]), -1, LOSSES[self._training.loss])

    def _answers(
        self, embedded: Sequence[FloatArray], shares: FloatArray
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Mean and uncalibrated spread by learned target, each (n,)."""
        raw = self._outputs(embedded)
        return {
            name: combined(raw[:, :, column], name, head.baseline, shares)
            for column, (name, head) in enumerate(self._heads.items())
        }

    def predict(self, structures: Sequence[Structure]) -> dict[str, Prediction]:
        """See Surrogate.predict."""
        if not structures:
            empty = np.empty(0)
            names = [*self._heads, *self._constants]
            return {name: Prediction(empty, empty, np.empty(0, dtype=bool)) for name in names}
        embedded = self._embedded(self._recipe.encoder.encode(structures))
        inside = self._known_domain().holds(structures, embedded[0])
        strain, kinds = self._known_domain().strain(structures), chemistries_of(structures)
        found = {
            name: (np.full(len(structures), answer.mean), np.full(len(structures), answer.std))
            for name, answer in self._constants.items()
        }
        for name, (mean, spread) in self._answers(embedded, fractions(structures)).items():
            found[name] = self._honest(name, mean, spread, strain, kinds)
        return {
            name: Prediction(np.where(inside, mean, np.nan), np.where(inside, std, np.nan), inside)
            for name, (mean, std) in found.items()
        }

    def _honest(
        self,
        name: str,
        mean: FloatArray,
        spread: FloatArray,
        strain: FloatArray,
        kinds: NDArray[np.str_],
    ) -> tuple[FloatArray, FloatArray]:
        """Calibrated mean and std of one target, from its mean, spread, strain and kinds, each (n,)."""
        head = self._heads[name]
        if name in PROBABILITIES:
            return np.clip(head.sharpness(mean), _CERTAIN, 1 - _CERTAIN), spread + _CERTAIN
        return mean, head.scaling(spread, kinds) * strain

    def member_means(self, structures: Sequence[Structure]) -> dict[str, FloatArray]:
        """Each member's own prediction by learned target, (members, n), uncalibrated."""
        raw = self._outputs(self._embedded(self._recipe.encoder.encode(structures)))
        shares = fractions(structures)
        return {
            name: np.stack([combined(one[None, :, c], name, head.baseline, shares)[0] for one in raw])
            for c, (name, head) in enumerate(self._heads.items())
        }

    def features(self, structures: Sequence[Structure]) -> FloatArray:
        """The first member's representation, standardised: shape (n, d)."""
        items = self._recipe.encoder.encode(structures)
        return self._known_domain().scaled(self._embedded(items)[0])

    def _known_domain(self) -> Domain:
        if self._domain is None:
            raise ValueError(f"the {self.name} surrogate has not been trained")
        return self._domain

    def save(self, folder: Path) -> None:
        """Weights and training representation as safetensors, the rest as JSON."""
        from safetensors.numpy import save_file
        from safetensors.torch import save_model

        domain = self._known_domain()
        for member, network in enumerate(self._networks):
            save_model(network, str(folder / f"member-{member}.safetensors"))
        arrays = {f"weights.{name}": head.baseline.weights for name, head in self._heads.items()}
        save_file(domain.arrays() | arrays, str(folder / "surrogate.safetensors"))
        settings = {
            "model": self.name,
            "code": self._recipe.code,
            "members": self._members,
            "options": self._options,
            "training": asdict(self._training),
            "elements": sorted(domain.elements),
            "constants": {name: asdict(answer) for name, answer in self._constants.items()},
            "heads": {name: _head_note(head) for name, head in self._heads.items()},
            "level": LEVEL,
            "learned_from": self._learned_from,
        }
        write_whole(folder / "surrogate.json", json.dumps(settings, indent=1))

    @classmethod
    def load(cls, folder: Path) -> NeuralSurrogate:
        """The surrogate a folder holds. Raises OutdatedCheckpointError where it learned another code."""
        from safetensors.numpy import load_file
        from safetensors.torch import load_model

        settings = read_object(folder / "surrogate.json")
        learned, read = settings.get("code", 1), RECIPES[settings["model"]].code
        if learned != read:
            raise OutdatedCheckpointError(
                f"{settings['model']} learned from code {learned} of a crystal; this Niobe writes code {read}"
            )
        arrays = load_file(str(folder / "surrogate.safetensors"))
        training = Training(**settings["training"])
        model = cls(
            settings["model"],
            members=settings["members"],
            epochs=training.epochs,
            options=settings["options"],
            training=training,
        )
        model._learned_from = settings.get("learned_from", {})
        model._constants = {name: Constant(**answer) for name, answer in settings["constants"].items()}
        model._heads = {
            name: _head(note, arrays[f"weights.{name}"]) for name, note in settings["heads"].items()
        }
        model._domain = Domain.restored(arrays, settings["elements"])
        if settings["members"] < 1:
            raise ValueError(f"{settings['members']} members")
        for member in range(settings["members"]):
            network = model._untrained(0)
            load_model(network, str(folder / f"member-{member}.safetensors"))
            model._networks.append(network)
        return model


def held_rows(kinds: NDArray[np.str_], seed: int) -> Indices:
    """Indices held back for calibration and early stopping: a tenth, from 4 to 600, at most a third.

    Of each kind of crystal, too, 20 or a third: that many errors give a kind an interval of its own.

    kinds: of crystal, (n,). seed: of what is drawn.
    """
    rows = len(kinds)
    count = min(max(int(_HELD * rows), _MIN_HELD), _MAX_HELD, rows // 3)
    order = np.random.default_rng([seed, 1]).permutation(rows)
    held = set(order[:count].tolist())
    for name in np.unique(kinds):
        own = order[kinds[order] == name]
        held |= set(own[: min(_OF_A_KIND, len(own) // 3)].tolist())
    return np.array(sorted(held), dtype=np.int64)


def combined(
    raw: FloatArray, name: str, baseline: Baseline, shares: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and spread, each (n,), of members' outputs (members, n, outputs a target).

    A member's own variance (Gaussian loss) or interval (quantile loss) is added to the members' variance.
    raw: standardised outputs. name: the target's. baseline: what is restored. shares: element fractions (n,
    103).
    """
    if name in PROBABILITIES:
        chance = 1 / (1 + np.exp(-raw[:, :, 0]))
        return chance.mean(0), chance.std(0)
    middle = raw[:, :, 1] if raw.shape[2] == 3 else raw[:, :, 0]
    own = {1: lambda: 0.0, 2: lambda: np.exp(raw[:, :, 1]).mean(0), 3: lambda: _from_quantiles(raw)}
    spread = np.sqrt(middle.var(0) + own[raw.shape[2]]()) * baseline.scale
    return baseline.restored(shares, middle).mean(0), spread


def _from_quantiles(raw: FloatArray) -> FloatArray:
    """Variance of a normal distribution whose 5 % and 95 % quantiles lie as far apart."""
    return np.asarray((((raw[:, :, 2] - raw[:, :, 0]) / (2 * 1.645)) ** 2).mean(0))


def _head_note(head: _Head) -> dict[str, Any]:
    return {
        "offset": head.baseline.offset,
        "scale": head.baseline.scale,
        "scaling": asdict(head.scaling),
        "sharpness": asdict(head.sharpness),
    }


def _head(note: Mapping[str, Any], weights: FloatArray) -> _Head:
    baseline = Baseline(weights, note["offset"], note["scale"])
    return _Head(baseline, Scaling(**note["scaling"]), Sharpness(**note["sharpness"]))
