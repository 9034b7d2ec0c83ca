"""Soft modes' children look like their family and are not."""

from __future__ import annotations

from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Lineage, Prerelaxed, StructureRecord, Verdict
from niobe.loop.generators.soft_mode_families import higher_relatives
from tests.loop.factory import SPEC, nbo


def record(name: str, energy: float | None, *parents: str, generator: str = "soft_mode") -> StructureRecord:
    """NbO under an id of its own, by the pre-relaxation potential at ``energy`` (eV/atom)."""
    lineage = Lineage(generator=generator if parents else "gan", parents=list(parents))
    answer = None
    if energy is not None:
        answer = Prerelaxed(potential="test", structure={}, energy_per_atom=energy, steps=3)
    return new_record(SPEC, 1, 0, nbo(), lineage).model_copy(update={"id": name, "prerelaxed": answer})


def kin_of(name: str, *records: StructureRecord) -> set[str]:
    by_id = {record.id: record for record in records}
    return higher_relatives(by_id[name], by_id)


PARENT = record("parent", -9.0)


def test_a_child_that_fell_is_no_duplicate_of_its_parent_and_one_that_fell_back_is() -> None:
    assert kin_of("child", PARENT, record("child", -9.01, "parent")) == {"parent"}
    assert kin_of("child", PARENT, record("child", -9.0005, "parent")) == set()
    assert kin_of("child", PARENT, record("child", None, "parent")) == {"parent"}


def test_of_two_children_the_lower_is_no_duplicate_of_the_other() -> None:
    low, high = record("low", -9.05, "parent"), record("high", -9.02, "parent")
    assert kin_of("low", PARENT, low, high) == {"parent", "high"}
    assert kin_of("high", PARENT, low, high) == {"parent"}


def test_grandchildren_and_copies_are_kin_and_strangers_are_not() -> None:
    child, grandchild = record("child", -9.05, "parent"), record("grandchild", -9.1, "child")
    judged = Verdict(
        formation_energy_per_atom=0.0,
        e_above_hull_found=0.0,
        e_above_hull_now=0.0,
        hull_round=1,
        duplicate_of="parent",
    )
    copy = record("copy", -9.0).model_copy(update={"verdict": judged})
    everyone = (PARENT, child, grandchild, copy, record("stranger", -8.0))
    assert kin_of("grandchild", *everyone) == {"parent", "child", "copy"}


def test_only_soft_modes_children_have_family() -> None:
    assert kin_of("child", PARENT, record("child", -9.1, "parent", generator="offspring")) == set()
    assert kin_of("parent", PARENT, record("child", -9.1, "parent")) == set()
