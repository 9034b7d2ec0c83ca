"""A campaign from Python: in a script or a notebook, in the database that the command line uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from pymatgen.analysis.phase_diagram import PhaseDiagram
    from pymatgen.core import Structure

    from niobe.launchers.local.executor import Tick
    from niobe.loop.documents.records import StructureRecord
    from niobe.loop.documents.rounds import HullRecord
    from niobe.loop.store.database import Database


class Campaign:
    """A campaign, its rounds, and what it has found so far.

    The database is that of ``NIOBE_MONGO_URI``, or the embedded one of ``NIOBE_HOME``, whose server is
    started where none runs: what was begun here goes on by ``niobe launch``, and the other way round. Nothing
    is held open between two calls.
    """

    def __init__(self, source: str | Path | Mapping[str, Any] | CampaignSpec) -> None:
        """A campaign as its file, its keys and values, or its spec has it; nothing is stored yet.

        source: path of a YAML file; a mapping with the same keys, whose paths are relative to the working
        folder; or a spec. Raises ConfigError, one line that names what is wrong.
        """
        from niobe.config.loading import campaign_of, load_campaign

        if isinstance(source, str | Path):
            self.spec = load_campaign(Path(source))
        else:
            content = source.model_dump() if isinstance(source, CampaignSpec) else source
            self.spec = campaign_of(content, "campaign", Path.cwd())
        self._own = True

    @classmethod
    def stored(cls, id: str) -> Campaign:
        """A campaign that is in the database, without its file. Raises ConfigError where it is not."""
        from niobe.launchers.services import campaign_database

        with campaign_database() as database:
            found = database.campaigns.find_one(id)
            known = ", ".join(record.id for record in database.campaigns.find()) or "none"
        if found is None:
            raise ConfigError(f"campaign: {id!r} is not in the database; known: {known}")
        campaign = cls.__new__(cls)
        campaign.spec = CampaignSpec.model_validate(found.spec)
        campaign._own = False
        return campaign

    def __repr__(self) -> str:
        return f"Campaign({self.spec.id!r}, {self.spec.chemsys}, oracle {self.spec.oracle.name})"

    def run(self, *, progress: bool = True) -> str:
        """Run rounds until the campaign's budget or policy ends it; why it ended.

        progress: show a live line and what each round found. Interrupt it at any instant; called again, here
        or by ``niobe launch``, it goes on where it was. Workers are processes of this machine
        (``NIOBE_WORKERS``) that import nothing of the calling script or notebook. Raises ConfigError for what
        the campaign names and cannot be used, PartialSourceError where a source could not be read to its end,
        StepFailedError where a step other than a validation failed.
        """
        return self._run(progress, rounds=None)

    def run_round(self, *, progress: bool = True) -> str:
        """Run the next round, or the rest of one that was interrupted; the first, round 0, makes the seeds.

        Returns "" where the campaign can go on, else why it ended. Otherwise as ``run``.
        """
        return self._run(progress, rounds=1)

    def _run(self, progress: bool, rounds: int | None) -> str:
        from niobe.flows.goals.resolving import properties_of, trust_named
        from niobe.flows.oracles.registry import check_machine
        from niobe.launchers.local.holding import only_one
        from niobe.launchers.local.launcher import run_held
        from niobe.launchers.rounds import begin_campaign
        from niobe.launchers.services import campaign_database

        if self.spec.launcher != "local":
            raise ConfigError(f"launcher: {self.spec.launcher} is for `niobe launch`; from Python only local")
        if self._own:
            trust_named(self.spec)
        check_machine(self.spec)
        properties_of(self.spec)
        with campaign_database() as database, only_one(database, self.spec.id) as hold:
            begin_campaign(database, self.spec)
            with _shown(database, self.spec, progress) as tick:
                return run_held(database, self.spec, tick, hold, rounds=rounds)

    def rounds(self) -> pd.DataFrame:
        """Counts, rates and errors (eV/atom) of each round, indexed by its number."""
        import pandas as pd

        from niobe.launchers.output.tables import round_row
        from niobe.launchers.services import campaign_database

        with campaign_database() as database:
            rows = [round_row(record) for record in database.rounds.find(self.spec.id)]
        return pd.DataFrame(rows).set_index("round") if rows else pd.DataFrame()

    def records(self) -> pd.DataFrame:
        """All structure records, one row each, indexed by id: eV/atom, THz; empty before the first round."""
        from niobe.launchers.services import campaign_database

        with campaign_database() as database:
            return _table(database.records.find(self.spec.id))

    def best(self, n: int = 20, *, stable: bool = False) -> pd.DataFrame:
        """The ``n`` validated, unique structures lowest above the hull, as in ``records``.

        stable: only what phonons call stable.
        """
        from niobe.launchers.output.best import best_records
        from niobe.launchers.services import campaign_database

        with campaign_database() as database:
            return _table(best_records(database, self.spec.id, stable=stable, most=n))

    def thermo(
        self, id: str, temperatures: Sequence[float] = (0.0, 300.0), *, minutes: float = 0.0
    ) -> pd.DataFrame:
        """A record's free energy, entropy and heat capacity at ``temperatures`` (K), harmonic.

        minutes: above 0, the potential is asked for phonons at seven volumes, which may take so long, and
        thermal expansion is there too. Raises ConfigError without force constants, or with imaginary modes.
        """
        import pandas as pd

        from niobe.launchers.services import campaign_database
        from niobe.launchers.thermo import harmonic_rows, quasi_harmonic_rows

        with campaign_database() as database:
            if minutes:
                rows = quasi_harmonic_rows(database, id, temperatures, 60 * minutes)
            else:
                rows = harmonic_rows(database, id, temperatures)
        return pd.DataFrame(rows).set_index("K")

    def structure(self, id: str) -> Structure:
        """The structure of a record as its oracle relaxed it, or as generated where it did not.

        Raises ConfigError where the campaign has no such record.
        """
        from niobe.launchers.services import campaign_database
        from niobe.loop.documents.structures import relaxed_structure

        with campaign_database() as database:
            record = database.records.get(id)
        if record.campaign != self.spec.id:
            raise ConfigError(f"structure {id!r} is of campaign {record.campaign!r}, not {self.spec.id!r}")
        return relaxed_structure(record)

    def hull(self) -> PhaseDiagram:
        """The newest convex hull, by total energies of the campaign's oracle (eV).

        Entries are named by record id. Raises ConfigError before round 0 has closed.
        """
        from niobe.launchers.services import campaign_database

        with campaign_database() as database:
            hull = database.hulls.last(self.spec.id)
        if hull is None:
            raise ConfigError(f"campaign {self.spec.id!r} has no hull yet; its first round makes one")
        return _diagram(hull)


@contextmanager
def _shown(database: Database, spec: CampaignSpec, progress: bool) -> Iterator[Tick]:
    from rich.console import Console

    from niobe.launchers.local.progress import CampaignProgress

    if not progress:
        yield lambda: None
        return
    with CampaignProgress(database, spec, Console()) as shown:
        yield shown.tick


def _table(records: Sequence[StructureRecord]) -> pd.DataFrame:
    import pandas as pd

    from niobe.launchers.output.goals import units
    from niobe.launchers.output.summary import summary

    properties = units(records)
    rows = [summary(record, properties) for record in records]
    return pd.DataFrame(rows).set_index("id") if rows else pd.DataFrame()


def _diagram(hull: HullRecord) -> PhaseDiagram:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    def entry(record_id: str, formula: str, energy_per_atom: float) -> PDEntry:
        composition = Composition(formula)
        return PDEntry(composition, energy_per_atom * composition.num_atoms, name=record_id)

    return PhaseDiagram([entry(e.record_id, e.formula, e.energy_per_atom) for e in hull.entries])
