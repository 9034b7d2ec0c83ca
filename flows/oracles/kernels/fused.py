"""SevenNet's convolution in one pass over the edges, for processors.

The model as shipped writes every path of its tensor product over every edge to memory, several times. Here
each edge is read once and added to its atom at once, forward and backward, with the same weights: the same
energies and forces to single precision in a third to a fifth of the time (docs/decisions/0090). The
convolution is that of Batzner et al., Nat. Commun. 13, 2453 (2022), equation 8, as SevenNet has it: Park et
al., J. Chem. Theory Comput. 20, 4857 (2024).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from e3nn.o3 import Irreps, TensorProduct, wigner_3j
from numba import njit
from numpy.typing import NDArray

_ROUNDING = {"reassoc", "contract", "nsz", "arcp"}  # not a NaN lost
_I, _K, _U, _X, _W, _M, _OUT = range(7)


def fuse(model: torch.nn.Module) -> None:
    """Replace every IrrepsConvolution of a SevenNet model, in place. The model can no longer be trained."""
    from sevenn.nn.convolution import IrrepsConvolution

    model.requires_grad_(False)
    for name, module in list(model.named_children()):
        if isinstance(module, IrrepsConvolution):
            setattr(model, name, FusedConvolution(module))


class FusedConvolution(torch.nn.Module):
    """Stands in for one IrrepsConvolution; reads and writes the same keys of the graph."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain
        self._paths, coupling = _paths(plain.convolution)
        self._coupling: torch.Tensor = coupling
        self._into: torch.Tensor = _channels_last(plain.convolution.irreps_in1)
        self._out_of: torch.Tensor = torch.argsort(_channels_last(plain.convolution.irreps_out))

    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Features of each atom in place of those before, (atoms, width); see the class wrapped."""
        plain = self.plain
        dst, src = data[plain.key_edge_idx]
        weight = plain.weight_nn(data[plain.key_weight_input])
        x = data[plain.key_x][:, self._into]
        matrices = data[plain.key_filter] @ self._coupling
        out = _Messages.apply(x, weight, matrices, src.numpy(), dst.numpy(), self._paths)
        data[plain.key_x] = out[:, self._out_of] / plain.denominator
        return data


class _Messages(torch.autograd.Function):
    """Messages summed at their atoms; once differentiable in x, weight and matrices."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        matrices: torch.Tensor,
        src: NDArray[np.int64],
        dst: NDArray[np.int64],
        paths: NDArray[np.int64],
    ) -> torch.Tensor:
        ctx.arrays = tuple(t.detach().contiguous().numpy() for t in (x, weight, matrices))
        ctx.graph = (src, dst, paths)
        out = np.zeros((len(x), int((paths[:, _K] * paths[:, _U]).sum())), dtype=np.float32)
        _forward(*ctx.arrays, src, dst, paths, out)
        return torch.from_numpy(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grads = tuple(np.zeros_like(array) for array in ctx.arrays)
        _backward(*ctx.arrays, *ctx.graph, gradient.contiguous().numpy(), *grads)
        return (*map(torch.from_numpy, grads), None, None, None)


def _paths(product: TensorProduct) -> tuple[NDArray[np.int64], torch.Tensor]:
    """One row a path (see _I to _OUT), and what turns spherical harmonics into the paths' matrices (k, i)."""
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
    return np.array(rows, dtype=np.int64), torch.cat(blocks, dim=1)


def _channels_last(irreps: Irreps) -> torch.Tensor:
    """The permutation from e3nn's (channel, component) to (component, channel) within each irrep."""
    numbers = torch.arange(irreps.dim)
    blocks = zip(irreps, irreps.slices(), strict=True)
    return torch.cat([numbers[s].reshape(mul, ir.dim).T.reshape(-1) for (mul, ir), s in blocks])


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _forward(x, weight, matrices, src, dst, paths, out):  # type: ignore[no-untyped-def]
    scratch = np.empty(x.shape[1], dtype=np.float32)
    for edge in range(len(src)):
        row, total = x[src[edge]], out[dst[edge]]
        for path in paths:
            i, k, n = path[_I], path[_K], path[_U]
            w = _part(weight[edge], path[_W], n)
            matrix = _part(matrices[edge], path[_M], k * i)
            message = scratch[:n]
            for component in range(k):
                _couple(row, path[_X], matrix, component * i, i, message)
                _add_product(_part(total, path[_OUT] + component * n, n), w, message)


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _backward(x, weight, matrices, src, dst, paths, gradient, g_x, g_weight, g_matrices):  # type: ignore[no-untyped-def]
    scratch = np.empty(x.shape[1], dtype=np.float32)
    for edge in range(len(src)):
        row, g_row, g_total = x[src[edge]], g_x[src[edge]], gradient[dst[edge]]
        for path in paths:
            i, k, n = path[_I], path[_K], path[_U]
            w, g_w = _part(weight[edge], path[_W], n), _part(g_weight[edge], path[_W], n)
            matrix, g_matrix = (
                _part(matrices[edge], path[_M], k * i),
                _part(g_matrices[edge], path[_M], k * i),
            )
            message = scratch[:n]
            for component in range(k):
                g = _part(g_total, path[_OUT] + component * n, n)
                _couple(row, path[_X], matrix, component * i, i, message)
                _add_product(g_w, g, message)
                for u in range(n):
                    message[u] = g[u] * w[u]
                for j in range(i):
                    at = path[_X] + j * n
                    g_matrix[component * i + j] = _dot(message, _part(row, at, n))
                    _add_scaled(_part(g_row, at, n), matrix[component * i + j], message)


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _couple(row, start, matrix, first, i, message):  # type: ignore[no-untyped-def]
    """message: one component of a path before its weight, shape (channels,)."""
    n = len(message)
    message[:] = 0
    for j in range(i):
        _add_scaled(message, matrix[first + j], _part(row, start + j * n, n))


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _part(array, start, n):  # type: ignore[no-untyped-def]
    return array[start : start + n]


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _add_scaled(total, factor, array):  # type: ignore[no-untyped-def]
    for u in range(len(total)):
        total[u] += factor * array[u]


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _add_product(total, one, other):  # type: ignore[no-untyped-def]
    for u in range(len(total)):
        total[u] += one[u] * other[u]


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _dot(one, other):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for u in range(len(one)):
        total += one[u] * other[u]
    return total
