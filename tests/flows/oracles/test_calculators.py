"""ASE calculators by path: what may be imported, what a fingerprint holds, what is refused and when."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ase.calculators import emt

from niobe.config.errors import ConfigError
from niobe.config.loading import campaign_of
from niobe.config.oracles.spec import ATOMATE2_NAMES
from niobe.config.spec import CampaignSpec, Oracle
from niobe.flows.oracles import calculators
from niobe.flows.oracles.force_field import ForceFieldOracle, which
from niobe.flows.oracles.potentials import potential, where
from niobe.flows.oracles.registry import check_machine, make_oracle, missing_here

EMT = "ase.calculators.emt:EMT"
MORSE = "tests.third_party.acme_niobe:Morse"
FOREIGN = """\
from pathlib import Path
Path(__file__).with_name("imported").touch()
class Potential:
    implemented_properties = ["energy", "forces"]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that says when it is imported; its calculator has no stress."""
    (tmp_path / "foreign_potential.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "imported"
    sys.modules.pop("foreign_potential", None)


def named(calculator: str, **more: Any) -> Oracle:
    return Oracle.model_validate({"name": "ase", "calculator": calculator, **more})


def campaign(oracle: Oracle) -> CampaignSpec:
    return CampaignSpec(id="a", elements=("Cu",), oracle=oracle)


def test_a_stored_campaign_imports_nothing_that_no_file_here_has_named(foreign: Path) -> None:
    spec = campaign(named("foreign_potential:Potential"))
    oracle = make_oracle(spec.oracle)
    assert oracle.fingerprint.startswith("force-field ase foreign_potential:Potential ")
    assert missing_here(spec) == ""
    for ask in (lambda: check_machine(spec), lambda: oracle.static([], foreign.parent)):
        with pytest.raises(ConfigError, match="is code that nobody here has named in a campaign file"):
            ask()
    assert not foreign.exists()
    calculators.trust(spec.oracle)
    with pytest.raises(ConfigError, match="has no stress; Niobe needs energy, forces and stress"):
        check_machine(spec)
    assert foreign.exists()


def test_trust_is_of_the_arguments_too(home: Path) -> None:
    """A trusted calculator with a stranger's weights may run code as well as a stranger's calculator."""
    asap = named(EMT, kwargs={"asap_cutoff": True})
    calculators.trust(asap)
    calculators.trust(asap)
    calculators.trust(Oracle(name="emt"))
    assert len((home / "calculators.jsonl").read_text().splitlines()) == 1
    assert potential(**which(asap)).parameters.asap_cutoff
    for other in (named(EMT), named(EMT, kwargs={"asap_cutoff": True}, dtype="float32")):
        with pytest.raises(ConfigError, match="nobody here has named"):
            potential(**which(other))


def test_the_fingerprint_holds_arguments_and_weights_by_content(tmp_path: Path) -> None:
    def fingerprint(folder: str, text: str, **more: Any) -> str:
        file = tmp_path / folder / "weights.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        oracle = {"name": "ase", "calculator": MORSE, "kwargs": {"weights": "weights.json"}, **more}
        content = {"id": "a", "elements": ["Cu"], "oracle": oracle}
        return make_oracle(campaign_of(content, "campaign", file.parent).oracle).fingerprint

    first = fingerprint("one", "1")
    assert fingerprint("two", "1", reach=5.0, device="cpu", elements=["Cu"], fmax=0.01) == first
    assert len({first, fingerprint("one", "2"), fingerprint("one", "1", dtype="float64")}) == 3


def test_the_fingerprint_of_a_package_holds_all_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "own_potential"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "calc.py").write_text("DEPTH = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    given = {"name": "ase", "calculator": "own_potential.calc:Calc", "elements": ["Cu"]}
    spec = Oracle.model_validate(given)
    before = calculators.fingerprint(spec)
    (package / "calc.py").write_text("DEPTH = 2\n")
    assert calculators.fingerprint(spec) != before


def test_weights_that_are_gone_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"oracle.kwargs: /nowhere/w.pt: no such file or folder"):
        _ = make_oracle(named(EMT, kwargs={"model": "/nowhere/w.pt"})).fingerprint


@pytest.mark.parametrize(
    ("oracle", "says"),
    [
        ({"name": "ase"}, "oracle: calculator: missing; name: ase needs one, as package.module:Class"),
        ({"calculator": EMT}, "oracle: calculator: belongs to name: ase, not to 7net-0"),
        ({"name": "ase", "calculator": "os system"}, "oracle.calculator: is no package.module:Class and no"),
        ({"name": "ase", "calculator": EMT, "elements": ["Xx"]}, "oracle.elements: unknown element 'Xx'"),
        ({"name": "ase", "calculator": EMT, "elements": ["Au"]}, f"oracle.elements: {EMT} does not know Cu"),
        ({"name": "ase", "calculator": EMT, "dtype": "half"}, "oracle.dtype: Input should be 'float32' or"),
    ],
)
def test_a_mistake_is_one_line(oracle: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        campaign_of({"id": "a", "elements": ["Cu"], "oracle": oracle}, "c.yaml", tmp_path)
    assert str(refused.value).startswith(f"c.yaml: {says}"), refused.value


@pytest.mark.parametrize(
    ("calculator", "more", "says"),
    [
        ("nobody.has:It", {}, "oracle.calculator: nobody.has:It: no package 'nobody' is installed here"),
        (EMT, {"dtype": "float32"}, f"oracle.calculator: {EMT}: ValueError: dtype: it takes none"),
        (MORSE, {"kwargs": {"asap": 1}}, f"oracle.calculator: {MORSE}: TypeError: "),
        ("ase.calculators.emt:NoSuch", {}, "oracle.calculator: ase.calculators.emt:NoSuch: AttributeError"),
        ("MatterSim", {}, "oracle.calculator: MatterSim: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_made_is_one_line(calculator: str, more: dict[str, Any], says: str) -> None:
    spec = campaign(named(calculator, **more))
    if "nobody" in calculator:
        assert missing_here(spec) == says
        return
    calculators.trust(spec.oracle)
    with pytest.raises(ConfigError) as refused:
        check_machine(spec)
    assert str(refused.value).startswith(says)


def test_atomate2s_force_fields_by_either_name_and_its_dotted_paths() -> None:
    from atomate2.forcefields.utils import MLFF

    assert {m.name: m.value for m in MLFF} == ATOMATE2_NAMES | {"MACE": "MACE", "Forcefield": "Forcefield"}
    assert named("MACE_MP_0").calculator == named("MACE-MP-0").calculator == "MACE-MP-0"
    assert named("ase.calculators.emt.EMT").calculator == EMT


def test_phonons_by_another_potential_leave_the_calculator_behind() -> None:
    spec = campaign(named(EMT, kwargs={"asap_cutoff": True}, device="cpu"))
    own = spec.phonon_oracle
    assert (own.calculator, own.kwargs, own.fmax) == (EMT, {"asap_cutoff": True}, 0.005)
    other = CampaignSpec.model_validate(spec.model_dump() | {"phonons": {"oracle": "emt"}}).phonon_oracle
    assert (other.calculator, other.kwargs, other.device) == ("", {}, "cpu")
    with pytest.raises(ValueError, match=r"phonons.oracle: ase is the oracle of oracle.calculator"):
        CampaignSpec.model_validate({"id": "a", "elements": ["Cu"], "phonons": {"oracle": "ase"}})


def test_what_a_calculator_by_path_does_not_use_is_in_no_stored_campaign() -> None:
    assert set(Oracle().model_dump()) == {"name", "corrections", "fmax", "max_steps", "wall_time", "retries"}


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert where("auto") == where("cpu") == "cpu"
    with pytest.raises(ConfigError, match=r"oracle.device: cuda: PyTorch finds no GPU here"):
        check_machine(campaign(Oracle(device="cuda")))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert (where("auto"), where("cuda"), where("cpu")) == ("cuda", "cuda", "cpu")


def test_what_answers_by_get_property_only_is_adapted_and_guarded() -> None:
    from ase.build import bulk

    class New:
        """The interface of GPAW's new calculator: no ``calculate``."""

        implemented_properties = ("energy", "forces", "stress")

        def get_property(self, name: str, atoms: Any) -> Any:
            return emt.EMT().get_property(name, atoms)

    copper = bulk("Cu", a=3.7, cubic=True)
    copper.calc = calculators.Adapted(New())
    plain = copper.copy()
    plain.calc = emt.EMT()
    assert copper.get_potential_energy() == pytest.approx(plain.get_potential_energy())
    assert copper.get_stress() == pytest.approx(plain.get_stress())
    assert ForceFieldOracle(named(EMT)).is_dft is False
