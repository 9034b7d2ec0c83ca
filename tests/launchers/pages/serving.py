"""A database worth looking at, and the pages over it on a real socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from plotly.graph_objects import Figure

from niobe.launchers.pages.server.access import Access
from niobe.launchers.pages.server.serving import listen, pages_server
from niobe.launchers.pages.style import Plot
from niobe.loop.campaign.closing import close_round
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.claims import Opinion
from niobe.loop.documents.dynamics import SoftMode, Stability
from niobe.loop.documents.records import Lineage, PredictedValue, Status, StructureRecord
from niobe.loop.documents.rounds import PhononRecord
from niobe.loop.stability.hull import build_hull
from niobe.loop.store.database import Database
from tests.loop.factory import SPEC, element, nbo, rocksalt, rutile, validated

BY_DFT = Opinion(
    oracle="gpaw", fingerprint="GPAW 1", e_above_hull=0.03, above_products=0.03, agrees=True, is_dft=True
)
EVIL = "<script>alert(1)</script>"


def fill(database: Database) -> dict[str, StructureRecord]:
    """A campaign of one closed round and one that is open, by hand; records by name."""
    database.campaigns.create(SPEC)
    seeds = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -4.5, index=1)]
    found = [
        validated(nbo(), -9.2, round_number=1),
        validated(rutile(), -8.0, round_number=1, index=1, outcome=Stability.UNSTABLE),
    ]
    database.records.insert([*seeds, *found])
    for number, batch in ((0, seeds), (1, found)):
        database.rounds.open("t", number)
        database.rounds.update("t", number, state="closed", batch=[record.id for record in batch])
        known = [*seeds, *found][: 2 * (number + 1)]
        hull, verdicts = close_round(SPEC, number, known)
        database.hulls.store(hull)
        for identifier, verdict in verdicts.items():
            database.records.update(identifier, verdict=verdict)
    value = PredictedValue(mean=-1.5, std=0.1, in_domain=True)
    database.records.update(found[0].id, prediction={"formation_energy_per_atom": value}, note=EVIL)
    database.records.update(found[0].id, opinions=[BY_DFT])
    database.phonons.store(_soft(found[1]))
    child = new_record(SPEC, 2, 0, rocksalt(), Lineage(generator="soft_mode", parents=[found[1].id]))
    waiting = child.model_copy(update={"status": Status.SCREENED})
    database.records.insert([waiting])
    database.rounds.open("t", 2)
    assert build_hull("t", 1, SPEC.elements, [*seeds, *found]).entries
    return {"seed": seeds[0], "discovery": found[0], "unstable": found[1], "waiting": waiting}


def _soft(record: StructureRecord) -> PhononRecord:
    """Two bands that dip below zero, and a mode at the zone boundary."""
    atoms = record.n_atoms
    mode: SoftMode = {
        "q": [0.5, 0.0, 0.0],
        "frequency": -3.0,
        "real": [1.0] + [0.0] * (3 * atoms - 1),
        "imag": [0.0] * (3 * atoms),
    }
    return PhononRecord(
        record_id=record.id,
        campaign=record.campaign,
        distances=[0.0, 0.5, 0.5, 1.0],
        frequencies=[[0.0, 5.0], [-3.0, 5.5], [-3.0, 5.5], [1.0, 6.0]],
        ticks=[(0.0, "$\\Gamma$"), (0.5, "X|$\\mathrm{Y_2}$"), (1.0, "M")],
        dos_frequencies=[-3.0, 0.0, 6.0],
        dos=[0.1, 0.0, 1.0],
        supercell_matrix=[[2, 0, 0], [0, 2, 0], [0, 0, 2]],
        modes=[mode],
    )


def as_plotly(plot: Plot) -> Figure:
    """A plot as plotly's Python package has it, which raises ValueError for what plotly.js does not know."""
    return Figure(data=plot.data, layout=plot.layout, frames=plot.frames)


@contextmanager
def served(database: Database, uri: str, access: Access | None = None) -> Iterator[str]:
    """The pages on a free port of loopback; gives their address."""
    with listen("127.0.0.1", 0) as bound:
        server = pages_server(database, access or Access(), uri)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 30
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)
