"""Seeds, what is kept out of them, and whether it is found again."""

import pytest

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec, Limits, Seeds
from niobe.loop.campaign.rediscovery import rediscoveries
from niobe.loop.campaign.seeds import excluded_structures, seed_records
from niobe.loop.documents.records import Choice, Failure, Status, StructureRecord
from tests.loop.factory import nbo, rocksalt, validated

NBO, RUTILE = "AB_cP6_221_c_d", "A2B_tP6_136_f_a"


def spec(*exclude: str) -> CampaignSpec:
    return CampaignSpec(
        id="t",
        elements=("Nb", "O"),
        limits=Limits(max_atoms=6),
        seeds=Seeds(max_prototypes=400, exclude=exclude),
    )


def chosen(record: StructureRecord, rank: int, **changes: object) -> StructureRecord:
    choice = Choice(function="qlogei", selection="acquired", rank=rank)
    return record.model_copy(update={"choice": choice, **changes})


def test_a_label_keeps_out_every_decoration_and_a_full_label_one() -> None:
    assert sorted(s.composition.reduced_formula for _, s in excluded_structures(spec(RUTILE))) == [
        "Nb2O",
        "NbO2",
    ]
    assert [s.composition.reduced_formula for _, s in excluded_structures(spec(f"{RUTILE} O-Nb"))] == ["NbO2"]


def test_what_is_excluded_is_no_seed_and_the_rest_is() -> None:
    def labels(*exclude: str) -> set[object]:
        return {record.lineage.origin["label"] for record in seed_records(spec(*exclude))[0]}

    assert labels() - labels(f"{NBO} Nb-O") == {f"{NBO} Nb-O", f"{NBO} O-Nb"}


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(ConfigError, match=r"seeds\.exclude: 'A9B' is neither a file nor"):
        excluded_structures(spec("A9B"))


def test_rediscovery_counts_calls_in_the_order_of_choice() -> None:
    failed = chosen(
        validated(rocksalt(), -5.0, round_number=1).model_copy(update={"validation": None}),
        rank=0,
        status=Status.FAILED,
        failure=Failure(step="relax", cause="error", exception="E", message="m"),
    )
    other = chosen(validated(rocksalt(4.5), -5.0, round_number=1, index=1), rank=1)
    match = chosen(validated(nbo(), -6.0, round_number=2), rank=0)
    later = chosen(validated(nbo(4.3), -6.0, round_number=2, index=1), rank=1)
    seed = chosen(validated(nbo(4.1), -6.0, round_number=0), rank=0)
    found, missing = rediscoveries(spec(f"{NBO} Nb-O", f"{RUTILE} O-Nb"), [later, match, other, failed, seed])
    assert (found.formula, found.spacegroup, found.record_id) == ("NbO", 221, match.id)
    assert (found.oracle_calls, found.round) == (3, 2)
    assert (missing.formula, missing.oracle_calls) == ("NbO2", None)
