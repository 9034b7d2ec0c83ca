"""Grown trees as arrays, which a checkpoint keeps as numbers: they answer as scikit-learn's do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray

_LEAF = -1
_AT_ONCE = 50_000
"""Pairs of tree and row that go down together."""


@dataclass(frozen=True)
class Forest:
    """Boosted regression trees: a base, and what each tree adds.

    roots: first node of each tree, and the number of nodes. feature: the column that a node asks about, −1 of
    a leaf. threshold: a row goes left up to it. left, right: nodes. value: of leaves, what they add. single:
    rows are compared in single precision.
    """

    base: float
    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: FloatArray
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: FloatArray
    single: bool

    @classmethod
    def of(cls, model: Any) -> Forest:
        """From a fitted GradientBoostingRegressor or HistGradientBoostingRegressor of numbers alone."""
        if hasattr(model, "estimators_"):
            trees = [_exact(tree[0].tree_, model.learning_rate) for tree in model.estimators_]
            return cls._joined(float(np.ravel(model.init_.constant_)[0]), trees, single=True)
        trees = [_binned(of_class[0].nodes) for of_class in model._predictors]
        return cls._joined(float(np.ravel(model._baseline_prediction)[0]), trees, single=False)

    @classmethod
    def _joined(cls, base: float, trees: Sequence[tuple[Any, ...]], *, single: bool) -> Forest:
        roots = np.cumsum([0, *(len(tree[0]) for tree in trees)])
        feature, threshold, left, right, value = (np.concatenate(parts) for parts in zip(*trees, strict=True))
        places = np.repeat(roots[:-1], np.diff(roots))
        return cls(base, roots, feature, threshold, left + places, right + places, value, single)

    def predict(self, rows: FloatArray) -> FloatArray:
        """What the trees answer to rows (n, d), shape (n,)."""
        asked = rows.astype(np.float32) if self.single else rows
        total = np.full(len(rows), self.base)
        at_once = max(1, _AT_ONCE // len(self.roots))
        for start in range(0, len(rows), at_once):
            part = slice(start, start + at_once)
            for added in self.value[self._leaves(asked[part])]:  # tree by tree, as scikit-learn adds them
                total[part] += added
        return total

    def _leaves(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """The node of each tree that each row ends in, (trees, n)."""
        trees = len(self.roots) - 1
        node, row = np.repeat(self.roots[:-1], len(rows)), np.tile(np.arange(len(rows)), trees)
        going = np.arange(len(node))
        while len(going):
            feature = self.feature[node[going]]
            going, feature = going[feature != _LEAF], feature[feature != _LEAF]
            here = node[going]
            goes_left = rows[row[going], feature] <= self.threshold[here]
            node[going] = np.where(goes_left, self.left[here], self.right[here])
        return node.reshape(trees, len(rows))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps."""
        places = np.repeat(self.roots[:-1], np.diff(self.roots))
        return {
            "base": np.array([self.base, float(self.single)]),
            "roots": self.roots,
            "feature": self.feature.astype(np.int16),
            "threshold": self.threshold,
            "left": (self.left - places).astype(np.int16),
            "right": (self.right - places).astype(np.int16),
            "value": self.value,
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Forest:
        """From ``arrays``."""
        roots = arrays["roots"]
        places = np.repeat(roots[:-1], np.diff(roots))
        base, single = map(float, arrays["base"])
        left, right = (arrays[side].astype(np.int64) + places for side in ("left", "right"))
        feature = arrays["feature"].astype(np.int64)
        return cls(base, roots, feature, arrays["threshold"], left, right, arrays["value"], single > 0)


def _exact(tree: Any, rate: float) -> tuple[Any, ...]:
    """Columns of a tree of scikit-learn's, whose leaves are scaled when they are added."""
    leaf = tree.children_left < 0
    feature = np.where(leaf, _LEAF, tree.feature).astype(np.int64)
    children = (
        np.where(leaf, 0, side).astype(np.int64) for side in (tree.children_left, tree.children_right)
    )
    return feature, tree.threshold.astype(float), *children, rate * tree.value[:, 0, 0]


def _binned(nodes: Any) -> tuple[Any, ...]:
    """Columns of a tree grown on histograms."""
    leaf = nodes["is_leaf"].astype(bool)
    feature = np.where(leaf, _LEAF, nodes["feature_idx"]).astype(np.int64)
    children = (nodes[side].astype(np.int64) for side in ("left", "right"))
    return feature, nodes["num_threshold"].astype(float), *children, nodes["value"].astype(float)
