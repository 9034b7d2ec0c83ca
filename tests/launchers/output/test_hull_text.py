"""The hull in letters: every compound of it is where its composition and energy say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from niobe.launchers.output.hull_text import hull_text
from niobe.loop.documents.rounds import HullEntry, HullRecord


def entry(formula: str, energy: float, above: float = 0.0, **composition: float) -> HullEntry:
    return HullEntry(
        record_id=formula,
        formula=formula,
        n_atoms=2,
        composition=composition,
        energy_per_atom=energy,
        formation_energy_per_atom=energy,
        e_above_hull=above,
    )


def hull(*entries: HullEntry) -> HullRecord:
    return HullRecord(campaign="c", round=2, oracle="o", entries=list(entries))


ENDS = (entry("Nb", 0.0, Nb=1.0), entry("O2", 0.0, O=1.0))


def test_two_elements_are_a_picture() -> None:
    """NbO at one half and −2.0 eV/atom: in the middle of the lowest line; Nb3O above a half-way line."""
    nbo = entry("NbO", -2.0, Nb=0.5, O=0.5)
    nb3o = entry("Nb3O", -0.4, 0.6, Nb=0.75, O=0.25)
    title, *lines = hull_text(hull(*ENDS, nbo, nb3o), ("Nb", "O"), "emt")
    assert title == "hull of round 2 by emt: formation energy (eV/atom); ● on it, ○ above"
    picture, axis = lines[:13], lines[-1]
    assert picture[-1].startswith("  -2.00 │") and picture[-1].endswith("● NbO")
    assert picture[-1].index("●") == 9 + 30
    zero = next(line for line in picture if line.count("●") == 2)
    assert (zero.index("●"), zero.rindex("●")) == (9, 69)
    (above,) = [line for line in picture if "○" in line]
    assert above.index("○") == 9 + 15
    assert (axis.index("Nb"), axis.rindex("O")) == (9, 69)


def test_a_system_without_stable_compounds_shows_those_a_little_above() -> None:
    ends = (entry("Ag", 0.0, Ag=1.0), entry("Cu", 0.0, Cu=1.0))
    above = entry("CuAg", 0.03, 0.03, Ag=0.5, Cu=0.5)
    text = "\n".join(hull_text(hull(*ends, above), ("Ag", "Cu"), "emt"))
    assert text.split("\n", 1)[1].count("○") == 1


def test_more_elements_are_a_list_nearest_the_hull_first_one_of_a_formula() -> None:
    ternary = entry("NbTiO4", -2.9, 0.012, Nb=1 / 6, Ti=1 / 6, O=4 / 6)
    worse = entry("NbTiO4", -2.5, 0.412, Nb=1 / 6, Ti=1 / 6, O=4 / 6)
    nbo = entry("NbO", -2.0, Nb=0.5, O=0.5)
    lines = hull_text(hull(*ENDS, worse, ternary, nbo), ("Nb", "O", "Ti"), "emt")[2:]
    assert [line.split() for line in lines] == [
        ["NbO", "-2.000", "on", "it"],
        ["NbTiO4", "-2.900", "0.012"],
    ]


def test_nothing_is_said_of_one_element_or_of_no_compound() -> None:
    assert hull_text(hull(ENDS[0]), ("Nb",), "emt") == []
    assert hull_text(hull(*ENDS), ("Nb", "O"), "emt") == []
    assert hull_text(hull(), ("Nb", "O", "Ti"), "emt") == []


@given(
    st.lists(
        st.tuples(st.floats(0.01, 0.99), st.floats(-5, 3), st.sampled_from([0.0, 0.2])),
        min_size=1,
        max_size=9,
    )
)
def test_any_hull_can_be_drawn(points: list[tuple[float, float, float]]) -> None:
    entries = [entry(f"A{i}B", e, above, A=1 - x, B=x) for i, (x, e, above) in enumerate(points)]
    ends = (entry("A", 0.0, A=1.0), entry("B", 0.0, B=1.0))
    lines = hull_text(hull(*ends, *entries), ("A", "B"), "emt")
    assert len(lines) == 16 and max(map(len, lines)) <= 70
