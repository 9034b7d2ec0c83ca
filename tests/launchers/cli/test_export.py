"""Force constants as files that phonopy itself reads."""

from pathlib import Path

import numpy as np
import phonopy
import pytest

from niobe.config.spec import Phonons
from niobe.loop.documents.rounds import PhononRecord
from niobe.loop.stability.phonons import dynamics
from niobe.loop.store.database import Database
from tests.launchers.cli.test_mistakes import Niobe
from tests.loop.factory import SPEC, nbo, rocksalt, validated
from tests.loop.stability.test_phonons import copper, emt_forces


def test_what_has_phonons_is_exported_for_phonopy(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with_phonons, without = validated(nbo(), -1.0), validated(rocksalt(), -2.0, index=1)
    database.campaigns.create(SPEC)
    database.records.insert([with_phonons, without])
    found = dynamics(copper(), emt_forces, Phonons(min_length=6.0))  # type: ignore[arg-type]
    record = PhononRecord(record_id=with_phonons.id, campaign="t", modes=[], **found.bands)
    database.phonons.store(record)
    folder = tmp_path / "out"
    said = Niobe(monkeypatch, capsys).said("export", "phonopy", str(folder), "--all")
    assert said == f"1 structures: {folder}\n"
    (file,) = folder.iterdir()
    assert file.name == f"NbO-{with_phonons.id}.yaml"
    phonon = phonopy.load(file, log_level=0)
    phonon.run_qpoints([found.verdict.q_point])
    lowest = np.min(phonon.get_qpoints_dict()["frequencies"])
    assert lowest == pytest.approx(found.verdict.lowest_frequency, rel=1e-5)
