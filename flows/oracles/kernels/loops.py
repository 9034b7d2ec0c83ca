"""Loops over the edges of a graph for ``fused.py``: each edge is read once, and added to its atom at once.

Arrays are flat and offsets unsigned: no view of a part is made, which takes longer than a loop over it, and
no index is taken for one from the end. How many components are mixed, 1, 3 or 5, and how many channels each
has in SevenNet's models are constants of the compiled code: of unknown distances between components a
compiler does not know whether what is written overlaps with what is read, and takes one channel at a time.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ROUNDING = {"reassoc", "contract", "nsz", "arcp"}  # not a NaN lost
IN, OUT, CHANNELS, AT_X, AT_WEIGHT, AT_MATRIX, AT_OUT = range(7)
"""Columns of the paths of a tensor product: components of x and of the message, channels, and where x,
weight, matrix and message begin in their rows."""
_ZERO, _ONE, _TWO, _THREE = map(np.uint64, (0, 1, 2, 3))
_32, _64, _128 = map(np.uint64, (32, 64, 128))


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def forward(x, knots, matrices, table, width, size, from_, to_, paths, out):  # type: ignore[no-untyped-def]
    """out: the messages of all edges, added up.

    knots: length of each edge in spacings of the table (see radial.py), whose rows hold ``width`` weights.
    matrices: ``size`` entries an edge. from_, to_: where the rows of an edge's atoms begin in x and out.
    """
    weight, m = np.empty(width, dtype=np.float32), _ZERO
    for edge in range(len(knots)):
        _interpolate(table, knots[edge], width, weight)
        for row in range(len(paths)):
            i, k, n = paths[row, IN], paths[row, OUT], paths[row, CHANNELS]
            s, t = from_[edge] + paths[row, AT_X], to_[edge] + paths[row, AT_OUT]
            w, f = paths[row, AT_WEIGHT], m + paths[row, AT_MATRIX]
            for _ in range(k):
                if i == 5 and n == 32:  # plain integers: docs/decisions/0176
                    _add_5(_32, x, s, weight, w, matrices, f, out, t)
                elif i == 3 and n == 64:
                    _add_3(_64, x, s, weight, w, matrices, f, out, t)
                elif i == 1 and n == 128:
                    _add_1(_128, x, s, weight, w, matrices, f, out, t)
                else:
                    for c in range(i):
                        _add_1(n, x, s + c * n, weight, w, matrices, f + c, out, t)
                t += n
                f += i
        m += size


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def backward(x, knots, matrices, table, width, size, from_, to_, paths, slopes, g_x, g_knots, g_matrices):  # type: ignore[no-untyped-def]
    """g_x, g_knots, g_matrices: slopes along x, knots and matrices. slopes: along what ``forward`` gave."""
    weight, steepness = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float32)
    g_weight, m = np.empty(width, dtype=np.float32), _ZERO
    for edge in range(len(knots)):
        _interpolate(table, knots[edge], width, weight)
        _interpolate_steepness(table, knots[edge], width, steepness)
        g_weight[:] = 0
        for row in range(len(paths)):
            i, k, n = paths[row, IN], paths[row, OUT], paths[row, CHANNELS]
            s, t = from_[edge] + paths[row, AT_X], to_[edge] + paths[row, AT_OUT]
            w, f = paths[row, AT_WEIGHT], m + paths[row, AT_MATRIX]
            for _ in range(k):
                if i == 5 and n == 32:  # plain integers: docs/decisions/0176
                    _back_5(_32, x, s, weight, w, matrices, f, slopes, t, g_x, g_weight, g_matrices)
                elif i == 3 and n == 64:
                    _back_3(_64, x, s, weight, w, matrices, f, slopes, t, g_x, g_weight, g_matrices)
                elif i == 1 and n == 128:
                    _back_1(_128, x, s, weight, w, matrices, f, slopes, t, g_x, g_weight, g_matrices)
                else:
                    for c in range(i):
                        at, by = s + c * n, f + c
                        _back_1(n, x, at, weight, w, matrices, by, slopes, t, g_x, g_weight, g_matrices)
                t += n
                f += i
        total = np.float32(0)
        for u in range(width):
            total += g_weight[u] * steepness[u]
        g_knots[edge] = total
        m += size


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _interpolate(table, at, width, weight):  # type: ignore[no-untyped-def]
    """weight: ``at`` spacings from the first knot, by the cubic of the values and slopes at two knots."""
    row, t = _knot_before(table, at, width)
    a, c = (1 + 2 * t) * (1 - t) ** 2, t * t * (3 - 2 * t)
    _mix(table, row, width, a, t * (1 - t) ** 2, c, t * t * (t - 1), weight)


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _interpolate_steepness(table, at, width, steepness):  # type: ignore[no-untyped-def]
    """steepness: the derivative of that cubic along ``at``."""
    row, t = _knot_before(table, at, width)
    a = 6 * t * (t - 1)
    _mix(table, row, width, a, (1 - t) * (1 - 3 * t), -a, t * (3 * t - 2), steepness)


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _knot_before(table, at, width):  # type: ignore[no-untyped-def]
    """Where the row of the knot before begins, and how far beyond it: nothing that is not a number is read
    as a place."""
    knot = np.uint64(len(table)) // (_TWO * width) - _TWO
    if at < knot:
        knot = np.uint64(at)
    return knot * _TWO * width, at - knot


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _mix(table, row, width, a, b, c, d, mixed):  # type: ignore[no-untyped-def]
    a, b, c, d = np.float32(a), np.float32(b), np.float32(c), np.float32(d)
    slope = row + width
    after = slope + width
    slope_after = after + width
    for u in range(width):
        near = a * table[row + u] + b * table[slope + u]
        mixed[u] = near + c * table[after + u] + d * table[slope_after + u]


@njit(nogil=True, fastmath=ROUNDING, inline="always")
def _add_1(n, x, s, weight, w, factors, f, out, t):  # type: ignore[no-untyped-def]
    """out[u] += weight[u] * Σ_c factors[c] * x[c * n + u] over as many components as the name says, counted
    from t, w, f and s: one component of a message."""
    a = factors[f]
    for u in range(n):
        out[t + u] += weight[w + u] * (a * x[s + u])


@njit(nogil=True, fastmath=ROUNDING, inline="always")
def _add_3(n, x, s, weight, w, factors, f, out, t):  # type: ignore[no-untyped-def]
    a, b, c = factors[f], factors[f + _ONE], factors[f + _TWO]
    s1 = s + n
    s2 = s1 + n
    for u in range(n):
        out[t + u] += weight[w + u] * (a * x[s + u] + b * x[s1 + u] + c * x[s2 + u])


@njit(nogil=True, fastmath=ROUNDING, inline="always")
def _add_5(n, x, s, weight, w, factors, f, out, t):  # type: ignore[no-untyped-def]
    a, b, c = factors[f], factors[f + _ONE], factors[f + _TWO]
    f3 = f + _THREE
    d, e = factors[f3], factors[f3 + _ONE]
    s1 = s + n
    s2 = s1 + n
    s3 = s2 + n
    s4 = s3 + n
    for u in range(n):
        mixed = a * x[s + u] + b * x[s1 + u] + c * x[s2 + u] + d * x[s3 + u] + e * x[s4 + u]
        out[t + u] += weight[w + u] * mixed


@njit(nogil=True, fastmath=ROUNDING, inline="always")
def _back_1(n, x, s, weight, w, factors, f, slopes, t, g_x, g_weight, g_factors):  # type: ignore[no-untyped-def]
    """The slopes of that along x, weight and factors, added to g_x, g_weight and g_factors."""
    a, g_a = factors[f], np.float32(0)
    for u in range(n):
        xa = x[s + u]
        slope = slopes[t + u]
        weighted = weight[w + u] * slope
        g_weight[w + u] += slope * (a * xa)
        g_x[s + u] += a * weighted
        g_a += weighted * xa
    g_factors[f] += g_a


@njit(nogil=True, fastmath=ROUNDING, inline="always")
def _back_3(n, x, s, weight, w, factors, f, slopes, t, g_x, g_weight, g_factors):  # type: ignore[no-untyped-def]
    f1, f2 = f + _ONE, f + _TWO
    a, b, c = factors[f], factors[f1], factors[f2]
    g_a, g_b, g_c = np.float32(0), np.float32(0), np.float32(0)
    s1 = s + n
    s2 = s1 + n
    for u in range(n):
        xa, xb, xc = x[s + u], x[s1 + u], x[s2 + u]
        slope = slopes[t + u]
        weighted = weight[w + u] * slope
        g_weight[w + u] += slope * (a * xa + b * xb + c * xc)
        g_x[s + u] += a * weighted
        g_x[s1 + u] += b * weighted
        g_x[s2 + u] += c * weighted
        g_a += weighted * xa
        g_b += weighted * xb
        g_c += weighted * xc
    g_factors[f] += g_a
    g_factors[f1] += g_b
    g_factors[f2] += g_c


@njit(nogil=True, fastmath=ROUNDING, inline="always")
def _back_5(n, x, s, weight, w, factors, f, slopes, t, g_x, g_weight, g_factors):  # type: ignore[no-untyped-def]
    f1, f2, f3 = f + _ONE, f + _TWO, f + _THREE
    f4 = f3 + _ONE
    a, b, c, d, e = factors[f], factors[f1], factors[f2], factors[f3], factors[f4]
    g_a, g_b, g_c, g_d, g_e = np.float32(0), np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    s1 = s + n
    s2 = s1 + n
    s3 = s2 + n
    s4 = s3 + n
    for u in range(n):
        xa, xb, xc, xd, xe = x[s + u], x[s1 + u], x[s2 + u], x[s3 + u], x[s4 + u]
        slope = slopes[t + u]
        weighted = weight[w + u] * slope
        mixed = a * xa + b * xb + c * xc + d * xd + e * xe
        g_weight[w + u] += slope * mixed
        g_x[s + u] += a * weighted
        g_x[s1 + u] += b * weighted
        g_x[s2 + u] += c * weighted
        g_x[s3 + u] += d * weighted
        g_x[s4 + u] += e * weighted
        g_a += weighted * xa
        g_b += weighted * xb
        g_c += weighted * xc
        g_d += weighted * xd
        g_e += weighted * xe
    g_factors[f] += g_a
    g_factors[f1] += g_b
    g_factors[f2] += g_c
    g_factors[f3] += g_d
    g_factors[f4] += g_e
