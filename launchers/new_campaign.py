"""A campaign file from three answers, with comments; it says what could be said besides."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from niobe.config.errors import ConfigError
from niobe.config.loading import campaign_of
from niobe.config.spec import CAMPAIGN_ID, CampaignSpec

_BATCH, _MOST = 10, 100_000


@dataclass(frozen=True)
class Question:
    """key: of the answers. asks: in words. default: the answer to an empty line. note: what is allowed."""

    key: str
    asks: str
    default: str
    note: str


QUESTIONS = (
    Question("elements", "Which elements?", "Cu, O", "1 to 5 symbols; Cu, O or Cu-O"),
    Question("oracle", "Which oracle judges?", "7net-0", "one that `niobe oracles` lists"),
    Question("budget", "How many candidates may it be asked for?", "40", "at least 1, seeds not counted"),
)
_TEXT = """\
# A campaign of Niobe. Paths are relative to this file; docs/campaign.md has every key.
# `niobe check {file}` says what it would cost, `niobe launch {file}` runs it and goes on where it was.

id: "{id}"                  # its name in the database; another id is another campaign
elements: [{elements}]

oracle:
  name: {oracle}            # `niobe oracles` lists others

budget:                     # the campaign ends with the first that is used up
  rounds: {rounds}
  validations: {validations}           # candidates given to the oracle; seeds do not count
  # oracle_seconds: 3600    # of all workers together

acquisition:
  batch: {batch}                 # candidates a round gives to the oracle
  # control_share: 0.1      # of them drawn at random, to measure how much choosing helps

# seed: 0                   # everything random follows from it
# limits:
#   max_atoms: 12           # in the cell of a candidate
#   all_elements: true      # false: candidates of subsystems too
# seeds:
#   files: [my-structures/] # CIF, POSCAR, CSV, parquet, extended XYZ or ASE databases
# hull_tolerance: 0.1       # eV/atom above the hull up to which a crystal counts as metastable
# phonons:
#   enabled: true           # false: no dynamical verdict, and much faster
"""


def checked(answers: Mapping[str, str]) -> CampaignSpec:
    """The campaign that answers make, with defaults for those that are missing.

    answers: by the key of a question. Raises ConfigError, one line, for one that cannot be used.
    """
    given = {question.key: answers.get(question.key, question.default) for question in QUESTIONS}
    elements = [part for part in re.split(r"[^A-Za-z]+", given["elements"]) if part]
    validations = _whole_number(given["budget"])
    content = {
        "id": "-".join(elements).lower() or "campaign",
        "elements": elements,
        "oracle": {"name": given["oracle"].strip()},
        "budget": {"rounds": math.ceil(validations / _BATCH), "validations": validations},
        "acquisition": {"batch": min(_BATCH, validations)},
    }
    return campaign_of(content, "answers", Path.cwd())


def _whole_number(text: str) -> int:
    if not (text.strip().isdecimal() and 0 < int(text) <= _MOST):
        raise ConfigError(f"budget: {text!r}: allowed: a whole number from 1 to {_MOST:,}")
    return int(text)


def ask(
    given: Mapping[str, str], answer: Callable[[Question], str], say: Callable[[str], None]
) -> CampaignSpec:
    """The campaign of the answers; each question again until its answer can be used.

    given: answers that are not asked for; a mistake in one of them raises ConfigError. answer: asks. say:
    tells what is wrong with an answer.
    """
    answers = dict(given)
    spec = checked(answers)
    for question in QUESTIONS:
        while question.key not in given:
            answers[question.key] = answer(question) or question.default
            try:
                spec = checked(answers)
            except ConfigError as error:
                say(str(error))
            else:
                break
    return spec


def write_file(spec: CampaignSpec, path: Path) -> Path:
    """The campaign as a file with comments, named after the file if its name can be an id.

    spec: the campaign. path: where; an empty one is named after the campaign. Raises ConfigError where
    something stands there.
    """
    path = path if path.name else Path(f"{spec.id}.yaml")
    text = _TEXT.format(
        file=path.name,
        id=path.stem if re.fullmatch(CAMPAIGN_ID, path.stem) else spec.id,
        elements=", ".join(spec.elements),
        oracle=spec.oracle.name,
        rounds=spec.budget.rounds,
        validations=spec.budget.validations,
        batch=spec.acquisition.batch,
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: is there already; name another file") from None
    return path
