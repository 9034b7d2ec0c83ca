"""CHGNet without what only training needs: forces and stress in one backward pass that is not kept."""

from __future__ import annotations

from typing import Any

import torch

_GPA = 160.21766208  # GPa in 1 eV/Å³


def slim(model: Any) -> None:
    """Make a CHGNet model answer sooner, in place. It can no longer be trained."""
    compute = model._compute
    model.requires_grad_(False)

    def lean(
        graph: Any, *, compute_force: bool = False, compute_stress: bool = False, **wanted: Any
    ) -> dict[str, Any]:
        prediction: dict[str, Any] = compute(graph, **wanted)
        if not (compute_force or compute_stress):
            return prediction
        energy = prediction["e"]
        total = (energy * prediction["atoms_per_graph"]).sum() if model.is_intensive else energy.sum()
        positions, strains = list(graph.atom_positions), list(graph.strains)
        inputs = positions + (strains if compute_stress else [])
        slopes = torch.autograd.grad(total, inputs)
        if compute_force:
            prediction["f"] = [-slope for slope in slopes[: len(positions)]]
        if compute_stress:
            along = zip(slopes[len(positions) :], graph.volumes, strict=True)
            prediction["s"] = [slope / volume * _GPA for slope, volume in along]
        return prediction

    model._compute = lean
