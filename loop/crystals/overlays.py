"""Loops over the ways to lay one cell on another for ``cells.py``, compiled once by numba and kept on disk.

Tolerances are arguments: what is kept is not made anew where a constant of another file changes.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

NO, YES, UNSURE = range(3)
_NO_FARTHER = 0.5  # of an edge: what lies nearer in each coordinate has no nearer image
_MOST_NEAR, _MOST_STEPS = 8, 1000  # partners of a site in best pairings, and steps through these
_EQUAL = 1e-3  # of the rounding: pairings less apart than that are equally good
_IN_IMAGES = 1.5  # of an edge: what lies nearer in each coordinate is among the images


@njit(cache=True, nogil=True)
def aligning(units, long, lengths, angles, ratio, turn):  # type: ignore[no-untyped-def]
    """Whether three lattice vectors have the edges and angles of each of k cells, (k,).

    units, long: directions and lengths of the vectors, (v, 3) and (v,). lengths: edges of the cells, (k, 3).
    angles: theirs, degrees, (k, 3). ratio: of edges, at most. turn: degrees, at most.
    """
    found = np.zeros(len(lengths), dtype=np.bool_)
    for cell in range(len(lengths)):
        near, counts = _near(long, lengths[cell], ratio)
        found[cell] = len(_triples(units, near, counts, angles[cell], turn, 1)) > 0
    return found


@njit(cache=True, nogil=True)
def overlay(whole, units, long, points, lengths, angles, its, starts, order, tolerances):  # type: ignore[no-untyped-def]
    """Whether one cell can be laid on another: ``YES``, ``NO``, or ``UNSURE``.

    whole, units, long: lattice vectors of the first as multiples of its edges, their directions and lengths.
    points: of the first, those of a kind together, (n, 3). lengths, angles: of the second, (3,), degrees.
    its: points of the second likewise. starts: where each kind begins, and n. order: kinds, the rarest first.
    tolerances: of edges, of angles in degrees, of sites in units of the cube root of the volume an atom, and
    what numbers are uncertain by.
    """
    edge, turn, reach, rounding = tolerances
    near, counts = _near(long, lengths, 1 + edge + rounding)
    on_first = its - its[starts[order[0]]]
    mine = np.empty(points.shape)
    edges, corners, metric, box = np.empty(3), np.empty(3), np.empty((3, 3)), np.empty(3)
    answer = NO
    for a, b, c in _triples(units, near, counts, angles, turn + rounding, -1):
        if not _is_primitive(whole[a], whole[b], whole[c]):
            continue
        edges[:] = long[a], long[b], long[c]
        corners[:] = _angle(units[b], units[c]), _angle(units[a], units[c]), _angle(units[a], units[b])
        volume = _mean_metric(edges, corners, lengths, angles, metric)
        if not volume > rounding:
            answer = UNSURE
            continue
        unit = (volume / len(points)) ** (1 / 3)
        _box(metric, volume, 2 * reach * (1 + rounding) * unit, box)
        _in_edges(points, whole[a], whole[b], whole[c], mine)
        said = _laid(mine, on_first, starts, order, metric, box, unit, reach, rounding)
        if said == YES and _are_alike(edges, corners, lengths, angles, edge - rounding, turn - rounding):
            return YES
        if said != NO:
            answer = UNSURE
    return answer


@njit(cache=True, nogil=True)
def _near(long, lengths, ratio):  # type: ignore[no-untyped-def]
    """Vectors about as long as each of three edges, (3, v), and how many these are, (3,)."""
    near, counts = np.empty((3, len(long)), dtype=np.int64), np.zeros(3, dtype=np.int64)
    for vector in range(len(long)):
        for edge in range(3):
            if long[vector] < lengths[edge] * ratio and long[vector] * ratio > lengths[edge]:
                near[edge, counts[edge]] = vector
                counts[edge] += 1
    return near, counts


@njit(cache=True, nogil=True)
def _triples(units, near, counts, angles, turn, most):  # type: ignore[no-untyped-def]
    """Vectors for the three edges that have these angles, (t, 3): no more than ``most``, all if negative."""
    least, greatest = np.empty(3), np.empty(3)
    for corner in range(3):
        least[corner] = math.cos(math.radians(min(180.0, angles[corner] + turn)))
        greatest[corner] = math.cos(math.radians(max(0.0, angles[corner] - turn)))
    found, size = np.empty((64 if most < 0 else most, 3), dtype=np.int64), 0
    for a in near[0, : counts[0]]:
        for b in near[1, : counts[1]]:
            if not least[2] <= _cosine(units[a], units[b]) <= greatest[2]:
                continue
            for c in near[2, : counts[2]]:
                if not least[1] <= _cosine(units[a], units[c]) <= greatest[1]:
                    continue
                if not least[0] <= _cosine(units[b], units[c]) <= greatest[0]:
                    continue
                if size == len(found):
                    found = np.concatenate((found, np.empty((size, 3), dtype=np.int64)))
                found[size, 0], found[size, 1], found[size, 2] = a, b, c
                size += 1
                if size == most:
                    return found
    return found[:size]


@njit(cache=True, nogil=True)
def _cosine(one, other):  # type: ignore[no-untyped-def]
    return min(1.0, max(-1.0, one[0] * other[0] + one[1] * other[1] + one[2] * other[2]))


@njit(cache=True, nogil=True)
def _angle(one, other):  # type: ignore[no-untyped-def]
    return math.degrees(math.acos(_cosine(one, other)))


@njit(cache=True, nogil=True)
def _is_primitive(a, b, c):  # type: ignore[no-untyped-def]
    """Whether three vectors, as multiples of the edges, span a cell as large."""
    across = a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0])
    return abs(across + a[2] * (b[0] * c[1] - b[1] * c[0])) == 1


@njit(cache=True, nogil=True)
def _in_edges(points, a, b, c, mine):  # type: ignore[no-untyped-def]
    """mine: fractional coordinates of points in the lattice of three vectors, given as multiples of the edges
    that span a cell as large, so that the inverse is whole too."""
    across = a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0])
    sign = across + a[2] * (b[0] * c[1] - b[1] * c[0])
    for site in range(len(points)):
        x, y, z = points[site, 0] * sign, points[site, 1] * sign, points[site, 2] * sign
        for to, one, other in ((0, b, c), (1, c, a), (2, a, b)):
            mine[site, to] = (
                x * (one[1] * other[2] - one[2] * other[1])
                + y * (one[2] * other[0] - one[0] * other[2])
                + z * (one[0] * other[1] - one[1] * other[0])
            )


@njit(cache=True, nogil=True)
def _mean_metric(edges, corners, lengths, angles, metric):  # type: ignore[no-untyped-def]
    """metric: scalar products of the edges of the lattice whose lengths and angles are the means of two; the
    volume of its cell."""
    for i in range(3):
        for j in range(3):
            product = (edges[i] + lengths[i]) / 2 * (edges[j] + lengths[j]) / 2
            corner = 3 - i - j
            if i != j:
                product *= math.cos(math.radians((corners[corner] + angles[corner]) / 2))
            metric[i, j] = product
    squared = metric[0, 0] * (metric[1, 1] * metric[2, 2] - metric[1, 2] ** 2)
    squared -= metric[0, 1] * (metric[0, 1] * metric[2, 2] - metric[1, 2] * metric[0, 2])
    squared += metric[0, 2] * (metric[0, 1] * metric[1, 2] - metric[1, 1] * metric[0, 2])
    return math.sqrt(max(0.0, squared))


@njit(cache=True, nogil=True)
def _box(metric, volume, radius, box):  # type: ignore[no-untyped-def]
    """box: fractional coordinates of what lies within a radius are no larger."""
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        box[axis] = radius * math.sqrt(metric[i, i] * metric[j, j] - metric[i, j] ** 2) / volume


@njit(cache=True, nogil=True)
def _are_alike(edges, corners, lengths, angles, edge, turn):  # type: ignore[no-untyped-def]
    """Whether edges and angles of two cells agree within tolerances."""
    for axis in range(3):
        ratio = edges[axis] / lengths[axis]
        if not (ratio < 1 + edge and ratio * (1 + edge) > 1 and abs(corners[axis] - angles[axis]) < turn):
            return False
    return True


@njit(cache=True, nogil=True)
def _laid(mine, its, starts, order, metric, box, unit, reach, rounding):  # type: ignore[no-untyped-def]
    """``YES`` where some site of the rarest kind, laid on the origin, leaves none farther than ``reach`` from
    one of its own; ``NO`` where none does.

    A site may lie that far from where all are laid best, and so may the one that was laid on: twice that
    apart.
    """
    answer, within = NO, (2 * reach * (1 + rounding) * unit) ** 2
    is_known = box[0] <= _IN_IMAGES and box[1] <= _IN_IMAGES and box[2] <= _IN_IMAGES
    images = 1 if box[0] >= _NO_FARTHER or box[1] >= _NO_FARTHER or box[2] >= _NO_FARTHER else 0
    squares = np.full((len(mine), len(mine)), np.inf)
    for laid in range(starts[order[0]], starts[order[0] + 1]):
        said = YES
        for kind in order:
            bounds = starts[kind], starts[kind + 1]
            if not _are_near(mine, mine[laid], its, bounds, metric, box, within, images, is_known, squares):
                said = NO
                break
        if said == YES and is_known:
            said = _paired(
                mine, mine[laid], its, starts, metric, images, squares, within, reach * unit, rounding
            )
            if said == YES:
                return YES
        if said != NO:
            answer = UNSURE
    return answer


@njit(cache=True, nogil=True)
def _are_near(mine, origin, its, bounds, metric, box, within, images, is_known, squares):  # type: ignore[no-untyped-def]
    """Whether each site of a kind has another of it near, and is near to one.

    bounds: where the kind begins and ends. squares: become squared distances, infinite of what is not near.
    """
    begin, end = bounds
    apart, has = np.empty(3), np.zeros(end - begin, dtype=np.bool_)
    for i in range(begin, end):
        is_alone = True
        for j in range(begin, end):
            squares[i, j] = np.inf
            if _in_box(mine[i], origin, its[j], box, apart):
                square = _nearest_image(apart, metric, images) if is_known else 0.0
                if square <= within:
                    squares[i, j], has[j - begin], is_alone = square, True, False
        if is_alone:
            return False
    return bool(has.all())


@njit(cache=True, nogil=True)
def _paired(mine, origin, its, starts, metric, images, squares, within, reach, rounding):  # type: ignore[no-untyped-def]
    """Whether the farthest pair is within ``reach`` of the mean where sites are paired with near ones so that
    the sum of squares is least: ``UNSURE`` where several sums are as small and it is in some of them, where
    one is nearly as small, or where pairs that are not near might make one."""
    n, is_sure = len(mine), True
    shares = np.zeros((2, n))
    for kind in range(len(starts) - 1):
        part = slice(starts[kind], starts[kind + 1])
        too_much = (n + 1) * within
        _share_out(np.minimum(squares[part, part], too_much), shares[0, part], shares[1, part])
        least = shares[0, part].sum() + shares[1, part].sum()
        if least >= too_much:
            return NO
        far = within - shares[0, part].max() - shares[1, part].max()
        is_sure = is_sure and far > rounding
    to, vectors = np.empty((n, _MOST_NEAR), dtype=np.int64), np.empty((n, _MOST_NEAR, 3))
    counts = np.empty(n, dtype=np.int64)
    for site in range(n):
        over = squares[site] - shares[0, site] - shares[1]
        counts[site] = _partners(
            mine[site] - origin, its, metric, images, over, squares[site], rounding, to[site], vectors[site]
        )
        if counts[site] == 0:
            return UNSURE
    said = _tried(to, vectors, counts, metric, reach, rounding)
    return said if is_sure or said == NO else UNSURE


@njit(cache=True, nogil=True)
def _share_out(squares, ours, its):  # type: ignore[no-untyped-def]
    """ours, its: become the shares of n sites and of n others, (n,), in the least sum of squares that pairs
    them: no square is less than both shares together, and those of a best pairing are as much (the Hungarian
    method by shortest augmenting paths, Jonker and Volgenant, Computing 38, 325 (1987))."""
    n = len(squares)
    row_of, from_ = np.full(n + 1, -1), np.zeros(n, dtype=np.int64)
    least, is_done = np.empty(n), np.empty(n + 1, dtype=np.bool_)
    for row in range(n):
        least[:], is_done[:] = np.inf, False
        row_of[n], at = row, n
        while row_of[at] >= 0:
            is_done[at] = True
            next_ = -1
            for j in range(n):
                if is_done[j]:
                    continue
                over = squares[row_of[at], j] - ours[row_of[at]] - its[j]
                if over < least[j]:
                    least[j], from_[j] = over, at
                if next_ < 0 or least[j] < least[next_]:
                    next_ = j
            step = least[next_]
            ours[row] += step
            for j in range(n):
                if is_done[j]:
                    ours[row_of[j]] += step
                    its[j] -= step
                else:
                    least[j] -= step
            at = next_
        while at != n:
            row_of[at], at = row_of[from_[at]], from_[at]


@njit(cache=True, nogil=True)
def _partners(site, its, metric, images, over, squares, rounding, to, vectors):  # type: ignore[no-untyped-def]
    """How many sites and images are paired with a site in some best pairing; 0 where they are too many, or
    some nearly are.

    over: by how much each square is more than the shares. to, vectors: become these.
    """
    count, apart = 0, np.empty(3)
    for j in range(len(its)):
        if over[j] > rounding:
            continue
        for axis in range(3):
            along = site[axis] - its[j, axis]
            apart[axis] = along - np.rint(along)
        x, y, z = apart
        for u in range(-images, images + 1):
            for v in range(-images, images + 1):
                for w in range(-images, images + 1):
                    above = _square(metric, x + u, y + v, z + w) - squares[j] + over[j]
                    if above > rounding:
                        continue
                    if above > _EQUAL * rounding or count == len(to):
                        return 0
                    to[count] = j
                    vectors[count, 0], vectors[count, 1], vectors[count, 2] = x + u, y + v, z + w
                    count += 1
    return count


@njit(cache=True, nogil=True)
def _tried(to, vectors, counts, metric, reach, rounding):  # type: ignore[no-untyped-def]
    """Whether the farthest pair is within ``reach`` of the mean in each best pairing: ``UNSURE`` where it is
    in some, or these are not looked through in some steps."""
    n, site, answer = len(to), 0, UNSURE
    picked, taken, moved = np.full(n, -1), np.zeros(n, dtype=np.bool_), np.empty((n, 3))
    for _ in range(_MOST_STEPS):
        if picked[site] >= 0:
            taken[to[site, picked[site]]] = False
        picked[site] += 1
        while picked[site] < counts[site] and taken[to[site, picked[site]]]:
            picked[site] += 1
        if picked[site] == counts[site]:
            if site == 0:
                return answer
            picked[site] = -1
            site -= 1
            continue
        taken[to[site, picked[site]]] = True
        moved[site] = vectors[site, picked[site]]
        if site < n - 1:
            site += 1
            continue
        farthest = _from_mean(moved, metric)
        said = YES if farthest < reach * (1 - rounding) else NO
        if (said == NO and not farthest > reach * (1 + rounding)) or said + answer == YES + NO:
            return UNSURE
        answer = said
    return UNSURE


@njit(cache=True, nogil=True)
def _in_box(site, origin, other, box, apart):  # type: ignore[no-untyped-def]
    """Whether two sites are that near in each coordinate, the first as laid on the origin. apart: the vector
    between them."""
    for axis in range(3):
        along = site[axis] - origin[axis] - other[axis]
        apart[axis] = along - np.rint(along)
        if abs(apart[axis]) > box[axis]:
            return False
    return True


@njit(cache=True, nogil=True)
def _nearest_image(apart, metric, images):  # type: ignore[no-untyped-def]
    """The squared length of the shortest of images of a vector, so many each way."""
    x, y, z = apart
    best = np.inf
    for u in range(-images, images + 1):
        for v in range(-images, images + 1):
            for w in range(-images, images + 1):
                best = min(best, _square(metric, x + u, y + v, z + w))
    return best


@njit(cache=True, nogil=True)
def _square(metric, x, y, z):  # type: ignore[no-untyped-def]
    """The squared length of a vector in fractional coordinates."""
    mixed = metric[0, 1] * x * y + metric[0, 2] * x * z + metric[1, 2] * y * z
    return metric[0, 0] * x * x + metric[1, 1] * y * y + metric[2, 2] * z * z + 2 * mixed


@njit(cache=True, nogil=True)
def _from_mean(vectors, metric):  # type: ignore[no-untyped-def]
    """How far the farthest of vectors in fractional coordinates is from their mean."""
    x, y, z = vectors[:, 0].mean(), vectors[:, 1].mean(), vectors[:, 2].mean()
    farthest = 0.0
    for row in vectors:
        farthest = max(farthest, _square(metric, row[0] - x, row[1] - y, row[2] - z))
    return math.sqrt(farthest)
