"""CHGNet's gated layers on processors, with as little as possible done for each edge.

A layer as shipped gathers the features that meet at an edge, concatenates them and multiplies them with its
first matrix. The product of a concatenation is the sum of the products of its parts, so here each atom, bond
and angle is multiplied once, and an edge only adds rows. What remains of an edge (the sum, the norms, the
gate, the sum at its owner, and all of that backward) is read and written once, with the same weights. The
layer is that of Deng et al., Nat. Mach. Intell. 5, 1031 (2023).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

_ROUNDING = {"reassoc", "contract", "nsz", "arcp"}  # not a NaN lost
_FLAT = 40.0  # beyond, the sigmoid is 0 or 1; its overflow and the denormal slopes are slow to compute


class Gated:
    """A GatedMLP with layer norms whose input concatenates ``parts`` features, and the sum of its answers."""

    def __init__(self, plain: Any, parts: int) -> None:
        halves = (plain.mlp_core.layers, plain.mlp_gate.layers)
        linears = [[layer for layer in half if isinstance(layer, torch.nn.Linear)] for half in halves]
        first = torch.cat([half[0].weight for half in linears]).detach()
        self.parts = [part.contiguous() for part in first.chunk(parts, dim=1)]
        self.bias = torch.cat([half[0].bias for half in linears]).detach()
        norms = (plain.bn1, plain.bn2)
        self.gain, self.offset = (_stacked(norms, name).numpy() for name in ("weight", "bias"))
        self.eps = np.float32(norms[0].eps)
        self.second: torch.Tensor | None = None
        self.second_bias = np.zeros_like(self.offset)
        if len(linears[0]) == 2:
            self.second, bias = (_stacked([half[1] for half in linears], name) for name in ("weight", "bias"))
            self.second_bias = bias.numpy()

    def __call__(
        self,
        features: list[tuple[int, torch.Tensor]],
        rows: NDArray[np.int64],
        weights: torch.Tensor,
        owners: NDArray[np.int64],
        n_owners: int,
    ) -> torch.Tensor:
        """Sum over each owner's edges of the answer times the edge's ``weights``, (n_owners, channels).

        ``features`` are (part, rows of that part); ``rows`` (n_edges, k) says which of these rows, counted
        through in that order, meet at an edge.
        """
        parts = [part for part, _ in features]
        return _Gate.apply(self, parts, rows, owners, n_owners, weights, *(block for _, block in features))


def _stacked(modules: Iterable[torch.nn.Module], name: str) -> torch.Tensor:
    return torch.stack([getattr(module, name) for module in modules]).detach()


class _Gate(torch.autograd.Function):
    """Gated, once differentiable in the weights of the edges and the features."""

    @staticmethod
    def forward(
        ctx: Any,
        gated: Gated,
        parts: list[int],
        rows: NDArray[np.int64],
        owners: NDArray[np.int64],
        n_owners: int,
        weights: torch.Tensor,
        *features: torch.Tensor,
    ) -> torch.Tensor:
        sizes, channels = [len(block) for block in features], weights.shape[1]
        table = torch.empty(sum(sizes), 2 * channels)
        for to, block, part in zip(table.split(sizes), features, parts, strict=True):
            torch.mm(block, gated.parts[part].T, out=to)
        inner = torch.empty(2, len(rows), channels)
        _join(table.numpy(), gated.bias.numpy(), rows, inner.numpy())
        hidden = None
        if gated.second is not None:
            hidden = inner, inner.clamp(-_FLAT, _FLAT).sigmoid_()
            inner = torch.bmm(inner * hidden[1], gated.second.transpose(1, 2))
        gates, scale = torch.empty_like(inner), np.empty((2, len(rows)), dtype=np.float32)
        affine = gated.gain, gated.offset
        _normalise(inner.numpy(), gated.second_bias, *affine, gated.eps, scale, gates.numpy())
        gates.sigmoid_()
        total = np.zeros((n_owners, channels), dtype=np.float32)
        weights = weights.detach().contiguous()
        _sum(inner.numpy(), *affine, gates.numpy(), weights.numpy(), owners, total)
        ctx.layer = gated, parts, sizes, rows, owners
        ctx.hidden, ctx.normal = hidden, (inner, scale, gates, weights)
        return torch.from_numpy(total)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gated, parts, sizes, rows, owners = ctx.layer
        normal, scale, gates, weights = ctx.normal
        g_weights, g_inner = torch.empty_like(weights), torch.empty_like(normal)
        _sum_backward(
            gradient.contiguous().numpy(),
            owners,
            *(tensor.numpy() for tensor in (weights, gates, normal)),
            scale,
            gated.gain,
            gated.offset,
            g_weights.numpy(),
            g_inner.numpy(),
        )
        if gated.second is not None:
            g_inner = torch.bmm(g_inner, gated.second)
            _silu_backward(*(tensor.numpy().reshape(-1) for tensor in (*ctx.hidden, g_inner)))
        g_rows = torch.zeros(sum(sizes), 2 * normal.shape[2])
        _join_backward(g_inner.numpy(), rows, g_rows.numpy())
        blocks = zip(parts, g_rows.split(sizes), strict=True)
        return (None,) * 5 + (g_weights, *(block @ gated.parts[part] for part, block in blocks))


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _join(table, bias, rows, out):  # type: ignore[no-untyped-def]
    """out: the sum of the rows that meet at each edge, first the cores, then the gates."""
    n = out.shape[2]
    for edge in range(len(rows)):
        for half in range(2):
            total = out[half, edge]
            total[:] = bias[half * n : (half + 1) * n]
            for row in rows[edge]:
                part = table[row, half * n : (half + 1) * n]
                for u in range(n):
                    total[u] += part[u]


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _join_backward(gradient, rows, g_table):  # type: ignore[no-untyped-def]
    n = gradient.shape[2]
    for edge in range(len(rows)):
        for half in range(2):
            g = gradient[half, edge]
            for row in rows[edge]:
                part = g_table[row, half * n : (half + 1) * n]
                for u in range(n):
                    part[u] += g[u]


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _silu_backward(x, sigmoid, gradient):  # type: ignore[no-untyped-def]
    """gradient: multiplied with the slope of the SiLU at x."""
    for i in range(len(x)):
        gradient[i] *= sigmoid[i] * (np.float32(1) + x[i] * (np.float32(1) - sigmoid[i]))


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _normalise(x, bias, gain, offset, eps, scale, out):  # type: ignore[no-untyped-def]
    """x: each row plus bias with mean 0 and variance 1, in place; scale: by what it was multiplied."""
    n = x.shape[2]
    for half in range(2):
        shift, a, b = bias[half], gain[half], offset[half]
        for edge in range(x.shape[1]):
            row, to = x[half, edge], out[half, edge]
            mean, square = np.float32(0), np.float32(0)
            for u in range(n):
                row[u] += shift[u]
                mean += row[u]
            mean /= np.float32(n)
            for u in range(n):
                square += (row[u] - mean) ** 2
            factor = np.float32(1) / np.sqrt(square / np.float32(n) + eps)
            scale[half, edge] = factor
            for u in range(n):
                row[u] = (row[u] - mean) * factor
                to[u] = row[u] * a[u] + b[u]


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _sum(normal, gain, offset, gates, weights, owners, total):  # type: ignore[no-untyped-def]
    for edge in range(len(owners)):
        unit, s, t, weight = normal[0, edge], gates[0, edge], gates[1, edge], weights[edge]
        row = total[owners[edge]]
        for u in range(len(row)):
            row[u] += (unit[u] * gain[0, u] + offset[0, u]) * s[u] * t[u] * weight[u]


@njit(cache=True, nogil=True, fastmath=_ROUNDING)
def _sum_backward(gradient, owners, weights, gates, normal, scale, gain, offset, g_weights, g_inner):  # type: ignore[no-untyped-def]
    """g_weights, g_inner: slopes through the sum, the gate and the norms."""
    n, one = gradient.shape[1], np.float32(1)
    for edge in range(len(owners)):
        row, weight, g_weight = gradient[owners[edge]], weights[edge], g_weights[edge]
        core, s, t = normal[0, edge], gates[0, edge], gates[1, edge]
        g_core, g_gate = g_inner[0, edge], g_inner[1, edge]
        for u in range(n):
            x, g = core[u] * gain[0, u] + offset[0, u], row[u] * weight[u]
            silu = x * s[u]
            g_weight[u] = row[u] * silu * t[u]
            g_core[u] = g * t[u] * s[u] * (one + x * (one - s[u])) * gain[0, u]
            g_gate[u] = g * silu * t[u] * (one - t[u]) * gain[1, u]
        for half in range(2):
            g_row, unit = g_inner[half, edge], normal[half, edge]
            mean, along = np.float32(0), np.float32(0)
            for u in range(n):
                mean += g_row[u]
                along += g_row[u] * unit[u]
            mean /= np.float32(n)
            along /= np.float32(n)
            factor = scale[half, edge]
            for u in range(n):
                g_row[u] = (g_row[u] - mean - unit[u] * along) * factor
