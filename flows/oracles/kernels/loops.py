"""Loops over the edges of a graph for ``fused.py``: each edge is read once, and added to its atom at once.

Arrays are flat and offsets unsigned: no view of a part is made, which takes longer than a loop over it, and
no index is taken for one from the end. How many components are mixed, 1, 3 or 5, is a constant of the
compiled code; more are added one by one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ROUNDING = {"reassoc", "contract", "nsz", "arcp"}  # not a NaN lost
IN, OUT, CHANNELS, AT_X, AT_WEIGHT, AT_MATRIX, AT_OUT = range(7)
"""Columns of the paths of a tensor product: components of x and of the message, channels, and where x,
weight, matrix and message begin in their rows."""
_ZERO, _ONE, _TWO, _THREE, _FIVE = map(np.uint64, (0, 1, 2, 3, 5))


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
                _add(i, n, out, t, weight, w, x, s, matrices, f, _ONE)
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
            g = t
            for _ in range(k):
                _add(i, n, g_weight, w, slopes, g, x, s, matrices, f, _ONE)
                _add_products(i, n, g_matrices, f, slopes, g, weight, w, x, s)
                g += n
                f += i
            f = m + paths[row, AT_MATRIX]
            for _ in range(i):
                _add(k, n, g_x, s, weight, w, slopes, t, matrices, f, i)
                s += n
                f += _ONE
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


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _add(count, n, total, t, weight, w, source, s, factors, f, step):  # type: ignore[no-untyped-def]
    """total[u] += weight[u] * Σ_c factors[c * step] * source[c * n + u], counted from t, w, f and s."""
    if count == _THREE:
        _add_3(n, total, t, weight, w, source, s, factors, f, step)
    elif count == _FIVE:
        _add_5(n, total, t, weight, w, source, s, factors, f, step)
    else:
        for _ in range(count):
            _add_1(n, total, t, weight, w, source, s, factors[f])
            s += n
            f += step


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _add_1(n, total, t, weight, w, source, s, a):  # type: ignore[no-untyped-def]
    for u in range(n):
        total[t + u] += weight[w + u] * (a * source[s + u])


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _add_3(n, total, t, weight, w, source, s, factors, f, step):  # type: ignore[no-untyped-def]
    a, b, c = factors[f], factors[f + step], factors[f + step + step]
    s1 = s + n
    s2 = s1 + n
    for u in range(n):
        total[t + u] += weight[w + u] * (a * source[s + u] + b * source[s1 + u] + c * source[s2 + u])


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _add_5(n, total, t, weight, w, source, s, factors, f, step):  # type: ignore[no-untyped-def]
    f1 = f + step
    f2 = f1 + step
    f3 = f2 + step
    a, b, c, d, e = factors[f], factors[f1], factors[f2], factors[f3], factors[f3 + step]
    s1 = s + n
    s2 = s1 + n
    s3 = s2 + n
    s4 = s3 + n
    for u in range(n):
        mixed = a * source[s + u] + b * source[s1 + u] + c * source[s2 + u]
        mixed += d * source[s3 + u] + e * source[s4 + u]
        total[t + u] += weight[w + u] * mixed


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _add_products(count, n, totals, t, one, o, other, p, source, s):  # type: ignore[no-untyped-def]
    """totals[c] += Σ_u one[u] * other[u] * source[c * n + u], counted from t, o, p and s."""
    if count == _THREE:
        _add_products_3(n, totals, t, one, o, other, p, source, s)
    else:
        for _ in range(count):
            totals[t] += _product(n, one, o, other, p, source, s)
            s += n
            t += _ONE


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _product(n, one, o, other, p, source, s):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for u in range(n):
        total += one[o + u] * other[p + u] * source[s + u]
    return total


@njit(cache=True, nogil=True, fastmath=ROUNDING)
def _add_products_3(n, totals, t, one, o, other, p, source, s):  # type: ignore[no-untyped-def]
    a, b, c = np.float32(0), np.float32(0), np.float32(0)
    s1 = s + n
    s2 = s1 + n
    for u in range(n):
        both = one[o + u] * other[p + u]
        a += both * source[s + u]
        b += both * source[s1 + u]
        c += both * source[s2 + u]
    totals[t] += a
    totals[t + _ONE] += b
    totals[t + _TWO] += c
