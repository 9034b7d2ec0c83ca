"""Campaign files: every shipped example is valid, every mistake is one clear line."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from niobe.config.elements import ELEMENTS
from niobe.config.errors import ConfigError
from niobe.config.feasibility import why_not
from niobe.config.loading import load_campaign
from niobe.config.spec import CampaignSpec
from niobe.flows.steps.generate import sample_request

SHARES = st.integers(0, 24).map(lambda n: n / 24) | st.floats(0, 1)
EXAMPLES = sorted((Path(__file__).parents[2] / "config" / "campaigns").glob("*.yaml"))


def write(folder: Path, text: str) -> Path:
    file = folder / "campaign.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_shipped_examples_are_valid(file: Path) -> None:
    assert load_campaign(file).id == file.stem


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id: a\nelements: [Nb, Xx]", "elements: unknown element 'Xx'; allowed"),
        ("id: a\nelements: []", "elements: needs 1 to 5 element symbols"),
        ("id: a\nelements: [Nb, Nb]", "names an element twice"),
        ("id: a\nelements: [Nb]\nbudget: {rounds: -1}", "budget.rounds: Input should be greater"),
        ("id: a\nelements: [Nb]\nbudget: {validation: 3}", "did you mean 'validations'?"),
        ("id: a\nelements: [Nb]\ngeneration: {mix: [{name: gan, shar: 1}]}", "did you mean 'share'?"),
        ("id: a\nelements: [Nb]\nzzz: 1", "zzz: unknown key; allowed: id, elements"),
        ("elements: [Nb]", "id: missing"),
        ("id: a\nelements: [Nb]\nseeds: {files: [nowhere]}", "no such file or folder"),
        ("id: a\nelements: [Nb]\nlimits: {min_atoms: 9, max_atoms: 4}", "min_atoms 9 is above max_atoms 4"),
        ("id: a\nelements: [Nb]\noracle: {name: magic}", "oracle.name: unknown; allowed: 7net-0"),
        (
            "id: a\nelements: [Nb]\nlimits: {fractions: {O: [0, 1]}}",
            "'O' is not in the campaign",
        ),
        ("id: a\nformula: Nb2O5\nelements: [Nb]", "formula: holds O, which is not in elements; allowed: Nb"),
        ("id: a\nformula: Nb2O4.5", "formula: is no formula of symbols and whole numbers"),
        ("id: a\nformula: Ca(OH)2", "write Ca(OH)2 as CaO2H2 (got 'Ca(OH)2')"),
        ("id: a\nformula: nb2o5", "elements: needs 1 to 5 element symbols"),
        ("id: a\nformula: Nb0O5", "formula: has an element of no atoms"),
        ("id: a\nformula: Nb4O10", "formula: is 2 × Nb2O5; write Nb2O5"),
        ("id: a\nformula: Xx2O5", "elements: unknown element 'Xx'"),
        ("id: a\nformula: [Nb2, O5]", "elements: missing"),
        (
            "id: a\nformula: Nb12O29",
            "limits: 1 to 12 formula units of 41 atoms do not fit 2 to 12 atoms",
        ),
        (
            "id: a\nformula: Nb2O5\nlimits: {formula_units: [2, 4]}",
            "limits: 2 to 4 formula units of 7 atoms do not fit 2 to 12 atoms",
        ),
        (
            "id: a\nformula: Nb2O5\nlimits: {formula_units: [3, 2]}",
            "formula_units: [3, 2] is no range",
        ),
        ("id: a\nformula: Nb2O5\nlimits: {fractions: {O: [0.5, 1]}}", "limits.fractions: a campaign of one"),
        ("id: a\nelements: [Nb]\nlimits: {formula_units: [1, 2]}", "limits.formula_units: of a campaign of"),
        ("id: a\nelements: [Nb]\nlimits: {fractions: {Nb: [0.9, 0.2]}}", "not a range within [0, 1]"),
        ("id: a\nelements: [Nb]\nprerelax: {potential: 7net-0}", "7net-0 is the oracle"),
        (
            "id: a\nelements: [Nb, O]\nlimits: {max_atoms: 1, min_atoms: 1}",
            "no cell of 1 to 1 atoms of Nb, O has one atom of each",
        ),
        (
            "id: a\nelements: [Nb, O]\nlimits: {max_atoms: 4, fractions: {O: [0.55, 0.6]}}",
            "limits: no cell of 2 to 4 atoms of Nb, O has fractions {'O': (0.55, 0.6)}",
        ),
        (
            "id: a\nelements: [Nb]\nprerelax: {potential: chgnet}\nsurrogate: {model: mlip_prior}",
            "mlip_prior has CHGNet as a prior mean of its own; allowed with prerelax: null",
        ),
        (
            "id: a\nelements: [Nb]\noracle: {name: chgnet}\nsurrogate: {model: mlip_prior}",
            "mlip_prior is CHGNet, the oracle",
        ),
        ("id: a\nelements: [Po, O]", "oracle.name: 7net-0 does not know Po; chgnet, lj and vasp know all"),
        ("id: a\nelements: [Nb]\noracle: {name: emt}", "oracle.name: emt does not know Nb"),
        ("id: a\nelements: [Nb]\nprior: {potential: emt}", "prior: is prerelax since schema version 4"),
        ("id: a\nelements: [Nb]\nprerelax: {potential: emt}", "prerelax.potential: emt does not know Nb"),
        (
            "id: a\nelements: [Nb, O]\nphonons: {enabled: false}\nacquisition: {function: p_target}",
            "needs phonons",
        ),
        (
            "id: a\nelements: [Nb]\nphonons: {enabled: false}\ngeneration: {mix: [{name: soft_mode}]}",
            "soft_mode follows what phonons found",
        ),
        (
            "id: a\nelements: [Nb]\ngeneration: {phonon_critic: true, mix: [{name: random}]}",
            "allowed with gan in generation.mix",
        ),
        ("id: a\nelements: [Nb]\nbudget: {rounds: 1}\nbudget: {rounds: 50}", "'budget' stands twice"),
        ("id: a\nelements: [Nb]\nlimits: {fractions: {Nb: [0, 1], Nb: [0, 1]}}", "'Nb' stands twice"),
        ("id: 2026-13-45\nelements: [Nb]", "not valid YAML"),
        ("[" * 3000, "not valid YAML"),
        ("id: 2026-01-01\nelements: [Nb]", "id: needs text; put it in quotes"),
        ("id: Nb O\nelements: [Nb]", "id: needs a short name of lower-case letters"),
        ("id: a\nelements: NbO", "elements: needs a list, such as [a, b] (got 'NbO')"),
        ("id: a\nelements: [Nb]\noracle: vasp", "oracle: needs keys with values, such as {name: value}"),
        ("id: a\nelements: [Nb]\ngeneration: {mix: [gan]}", "generation.mix.0: needs keys with values"),
        ("id: a\nelements: [Nb]\nhull_tolerance: 50", "hull_tolerance: Input should be less than"),
        ("id: a\nelements: [Nb]\noracle: {fmax: .inf}", "oracle.fmax: Input should be a finite number"),
        ("id: a\nelements: [Nb]\nseed: 1000000000000000000000000000000", "seed: Input should be less than"),
        (
            "id: a\nelements: [Nb]\nsources: [{name: s, kind: optimade, at: nourl}]",
            "'nourl' is no address; it begins with http:// or https://",
        ),
        (
            "id: a\nelements: [Nb]\nsources: [{name: s, kind: mp, filter: nelements=2}]",
            "filter: kind mp takes none; allowed for optimade, oqmd, niobe",
        ),
        ("[1, 2]", "a campaign file is a mapping"),
        ("id: [", "not valid YAML"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_campaign(write(tmp_path, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such campaign file"):
        load_campaign(tmp_path / "none.yaml")


def test_overrides_replace_keys_and_paths_follow_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.cif").write_text("")
    file = write(tmp_path, "id: a\nelements: [O, Cu]\nseeds: {files: [mine.cif]}")
    spec = load_campaign(file, seed=7, oracle__name="emt", id=None)
    assert (spec.seed, spec.oracle.name, spec.id, spec.elements) == (7, "emt", "a", ("Cu", "O"))
    assert spec.seeds.files == (str((tmp_path / "mine.cif").resolve()),)


@given(st.permutations(["Ti", "N", "O"]), st.integers(0, 2**31))
def test_digest_ignores_element_order_and_launcher_but_not_the_seed(elements: list[str], seed: int) -> None:
    one = CampaignSpec(id="a", elements=tuple(elements), seed=seed)
    other = CampaignSpec(id="a", elements=("N", "O", "Ti"), seed=seed, launcher="fireworks")
    assert one.digest() == other.digest()
    assert one.digest() != other.model_copy(update={"seed": seed + 1}).digest()


@given(st.integers(0, 99), st.integers(0, 99))
def test_derived_seeds_differ_by_round_and_step(one: int, other: int) -> None:
    spec = CampaignSpec(id="a", elements=("Nb",))
    assert (spec.derived_seed(one, "x") == spec.derived_seed(other, "x")) == (one == other)
    assert spec.derived_seed(one, "x") != spec.derived_seed(one, "y")


def test_a_spec_survives_yaml() -> None:
    spec = CampaignSpec(id="a", elements=("Nb", "O"))
    assert CampaignSpec.model_validate(yaml.safe_load(yaml.safe_dump(spec.model_dump(mode="json")))) == spec


def test_elements_are_those_of_the_periodic_table() -> None:
    from pymatgen.core import Element

    assert [Element.from_Z(z).symbol for z in range(1, len(ELEMENTS) + 1)] == list(ELEMENTS)


@pytest.mark.parametrize(
    ("oracle", "prerelax"),
    [("", "chgnet"), ("vasp", "chgnet"), ("chgnet", "7net-0"), ("emt", None), ("lj", None)],
)
def test_a_file_that_names_no_pre_relaxation_has_the_default_of_its_oracle(
    tmp_path: Path, oracle: str, prerelax: str | None
) -> None:
    text = f"id: a\nelements: [Cu]\n{f'oracle: {{name: {oracle}}}' if oracle else ''}\n"
    spec = load_campaign(write(tmp_path, text))
    assert (spec.prerelax.potential if spec.prerelax else None) == prerelax
    assert spec.draws_offspring == (prerelax is not None)
    assert load_campaign(write(tmp_path, f"{text}prerelax: null")).prerelax is None
    named = load_campaign(write(tmp_path, f"{text}prerelax: {{steps: 7}}")).prerelax
    assert named is not None
    assert (named.potential, named.steps) == (prerelax or "chgnet", 7)


@pytest.mark.parametrize(
    "text",
    [
        "id: a\nelements: [Po, O]\noracle: {name: chgnet}",
        "id: a\nelements: [Cu]\nsurrogate: {model: mlip_prior}",
    ],
)
def test_no_pre_relaxation_is_the_default_where_it_could_not_work(tmp_path: Path, text: str) -> None:
    assert load_campaign(write(tmp_path, text)).prerelax is None


def test_a_spec_that_could_not_work_is_read_all_the_same() -> None:
    stored = {"id": "a", "elements": ["Nb"], "oracle": {"name": "emt"}}
    assert why_not(CampaignSpec.model_validate(stored)).startswith("oracle.name: emt does not know Nb")


@given(
    st.integers(1, 12),
    st.integers(0, 4),
    st.booleans(),
    st.tuples(SHARES, SHARES).map(sorted),
)
def test_limits_are_refused_only_where_no_composition_is_inside(
    low: int, more: int, everything: bool, share: list[float]
) -> None:
    limits = {
        "min_atoms": low,
        "max_atoms": low + more,
        "all_elements": everything,
        "fractions": {"O": share},
    }
    spec = CampaignSpec.model_validate({"id": "a", "elements": ["N", "O", "Ti"], "limits": limits})
    request = sample_request(spec)
    inside = any(
        request.allows({"N": n, "O": o, "Ti": total - n - o})
        for total in range(low, low + more + 1)
        for o in range(total + 1)
        for n in range(total - o + 1)
    )
    assert (why_not(spec) == "") == inside


def test_what_is_excluded_by_a_file_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "mine.cif").write_text("")
    text = "id: a\nelements: [Nb, O]\nseeds: {exclude: [mine.cif, AB_cP6_221_c_d Nb-O]}"
    excluded = load_campaign(write(tmp_path, text)).seeds.exclude
    assert excluded == (str((tmp_path / "mine.cif").resolve()), "AB_cP6_221_c_d Nb-O")


def test_options_need_a_named_surrogate(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "id: a\nelements: [Cu]\nsurrogate: {model: auto, options: {width: 8}}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="surrogate: options: belong to one model"):
        load_campaign(file)
