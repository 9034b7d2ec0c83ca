"""A notebook of one campaign: it opens the same database by ``niobe.Campaign``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_ABOUT = """\
# Campaign {id}

{system}, oracle {oracle}. Energies are in eV/atom and of that oracle. Run it where Niobe is installed; it
reads the campaign as it is by then, and changes nothing. Where a MongoDB server holds it, `NIOBE_MONGO_URI`
has to name that server.
"""
_OPEN = """\
campaign = niobe.Campaign.stored("{id}")
campaign"""
_PLOT = """\
from pymatgen.analysis.phase_diagram import PDPlotter

PDPlotter(campaign.hull(), show_unstable=0.2).get_plot()"""


def campaign_notebook(campaign: str, system: str, oracle: str, variables: Mapping[str, str]) -> str:
    """A notebook (nbformat 4.5, JSON) that looks at a stored campaign: rounds, best, hull, a structure.

    campaign: its id. system: its chemical system. oracle: its name. variables: of the environment, which say
    where the database is unless the notebook's own environment does.
    """
    place = "".join(
        f"os.environ.setdefault({json.dumps(name)}, {json.dumps(value)})\n"
        for name, value in variables.items()
    )
    cells = [
        _cell("markdown", _ABOUT.format(id=campaign, system=system, oracle=oracle)),
        _cell("code", f"import os\n\n{place}\nimport niobe\n\n{_OPEN.format(id=campaign)}"),
        _cell("code", "campaign.rounds()"),
        _cell("code", "best = campaign.best(10)\nbest"),
        _cell("code", _PLOT),
        _cell("code", "campaign.structure(best.index[0]) if len(best) else None"),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1)


def _cell(kind: str, text: str) -> dict[str, Any]:
    code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": text, **code}
