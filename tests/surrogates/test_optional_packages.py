"""Models that need an optional package are known as such, and no others."""

from __future__ import annotations

import json
import subprocess
import sys

from niobe.surrogates.models import ON_MATMINER

WITHOUT = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.modules["matminer"] = sys.modules["dscribe"] = None
import numpy as np
from niobe.config.errors import ConfigError
from niobe.loop.generators.prototypes import decorated_prototypes
from niobe.surrogates.models import make_surrogate, models

structures = [s for _, s in decorated_prototypes(("Cu", "Au"), 8)][:20]
labels = {"formation_energy_per_atom": np.linspace(-1, 1, len(structures))}
missing = []
for name in models():
    try:
        make_surrogate(name, members=2, epochs=1).fit(structures, labels, seed=0)
    except ConfigError:
        missing.append(name)
print(json.dumps(missing))
"""


def test_models_without_matminer_say_so_or_work() -> None:
    answer = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert set(json.loads(answer.stdout)) == ON_MATMINER
