"""Hulls that formation energies make."""

from __future__ import annotations

import numpy as np

from niobe.loop.acquisition.targets import Hull


def test_the_hull_of_one_element_is_its_lowest_energy() -> None:
    hull = Hull([{"Cu": 1.0}, {"Cu": 1.0}], ("Cu",))
    assert hull.level(np.array([0.3, -0.1])).tolist() == [-0.1, -0.1]
    assert hull.level(np.array([0.3, np.inf])).tolist() == [0.0, 0.0]
