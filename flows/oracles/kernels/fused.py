"""SevenNet's convolution in one pass over the edges, for processors.

The model as shipped writes every path of its tensor product over every edge to memory, several times. Here
each edge is read once and added to its atom at once, forward and backward, with the same weights, which are
read off a table of the distance (radial.py): the same energies and forces to single precision
(docs/decisions/0090, 0156). The
convolution is that of Batzner et al., Nat. Commun. 13, 2453 (2022), equation 8, as SevenNet has it: Park et
al., J. Chem. Theory Comput. 20, 4857 (2024).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from e3nn.o3 import Irreps, TensorProduct, wigner_3j
from numpy.typing import NDArray

from niobe.flows.oracles.kernels.loops import CHANNELS, OUT, backward, forward
from niobe.flows.oracles.kernels.radial import KNOTS, table


def fuse(model: Any) -> None:
    """Replace every IrrepsConvolution of a SevenNet model, in place. The model can no longer be trained."""
    from sevenn.nn.convolution import IrrepsConvolution
    from sevenn.nn.edge_embedding import EdgeEmbedding

    model.requires_grad_(False)
    embedding = next(module for module in model.children() if isinstance(module, EdgeEmbedding))
    for name, module in list(model.named_children()):
        if isinstance(module, IrrepsConvolution):
            setattr(model, name, FusedConvolution(module, embedding, model.cutoff))


class FusedConvolution(torch.nn.Module):
    """Stands in for one IrrepsConvolution; reads and writes the same keys of the graph, and the lengths of
    edges."""

    def __init__(self, plain: Any, embedding: Any, cutoff: float) -> None:
        super().__init__()
        self.plain = plain
        self._paths, coupling = _paths(plain.convolution)
        self._coupling: torch.Tensor = coupling
        self._into: torch.Tensor = _channels_last(plain.convolution.irreps_in1)
        self._out_of: torch.Tensor = torch.argsort(_channels_last(plain.convolution.irreps_out))
        self._table, self._spacings = table(embedding, plain.weight_nn, cutoff), (KNOTS - 1) / cutoff

    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Features of each atom in place of those before, (atoms, width); see the class wrapped."""
        from sevenn._keys import EDGE_LENGTH

        plain = self.plain
        dst, src = data[plain.key_edge_idx]
        x = data[plain.key_x][:, self._into]
        matrices = data[plain.key_filter] @ self._coupling
        knots = data[EDGE_LENGTH].double() * self._spacings
        out = _Messages.apply(x, knots, matrices, src.numpy(), dst.numpy(), self._paths, self._table)
        data[plain.key_x] = out[:, self._out_of] / plain.denominator
        return data


class _Messages(torch.autograd.Function):
    """Messages summed at their atoms; once differentiable in x, knots and matrices."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        knots: torch.Tensor,
        matrices: torch.Tensor,
        src: NDArray[np.int64],
        dst: NDArray[np.int64],
        paths: NDArray[np.uint64],
        weights: NDArray[np.float32],
    ) -> torch.Tensor:
        arrays = tuple(t.detach().contiguous().numpy() for t in (x, knots, matrices))
        width = int((paths[:, OUT] * paths[:, CHANNELS]).sum())
        out = np.zeros((len(x), width), dtype=np.float32)
        begins = ((src * x.shape[1]).astype(np.uint64), (dst * width).astype(np.uint64))
        sizes = np.uint64(weights.shape[2]), np.uint64(matrices.shape[1])
        ctx.asked = (*map(np.ravel, arrays), weights.ravel(), *sizes, *begins, paths)
        ctx.shapes = [array.shape for array in arrays]
        forward(*ctx.asked, out.ravel())
        return torch.from_numpy(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kinds = (np.float32, np.float64, np.float32)
        grads = [np.zeros(shape, dtype=kind) for shape, kind in zip(ctx.shapes, kinds, strict=True)]
        backward(*ctx.asked, gradient.contiguous().numpy().ravel(), *map(np.ravel, grads))
        return (*map(torch.from_numpy, grads), None, None, None, None)


def _paths(product: TensorProduct) -> tuple[NDArray[np.uint64], torch.Tensor]:
    """One row a path (see ``loops``), and what turns spherical harmonics into the paths' matrices (k, i)."""
    ins, sh, outs = product.irreps_in1, product.irreps_in2, product.irreps_out
    rows: list[tuple[int, ...]] = []
    blocks: list[torch.Tensor] = []
    w = 0
    for path in product.instructions:
        first, second, third = ins[path.i_in1], sh[path.i_in2], outs[path.i_out]
        block = path.path_weight * wigner_3j(first.ir.l, second.ir.l, third.ir.l).permute(1, 2, 0)
        padded = torch.zeros(sh.dim, third.ir.dim * first.ir.dim)
        padded[sh.slices()[path.i_in2]] = block.reshape(second.ir.dim, -1)
        x, out = ins.slices()[path.i_in1].start, outs.slices()[path.i_out].start
        m = sum(b.shape[1] for b in blocks)
        rows.append((first.ir.dim, third.ir.dim, first.mul, x, w, m, out))
        blocks.append(padded)
        w += first.mul
    return np.array(rows, dtype=np.uint64), torch.cat(blocks, dim=1)


def _channels_last(irreps: Irreps) -> torch.Tensor:
    """The permutation from e3nn's (channel, component) to (component, channel) within each irrep."""
    numbers = torch.arange(irreps.dim)
    blocks = zip(irreps, irreps.slices(), strict=True)
    return torch.cat([numbers[s].reshape(mul, ir.dim).T.reshape(-1) for (mul, ir), s in blocks])
