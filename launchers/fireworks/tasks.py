"""The firetask that ends the last jobs of every workflow: submit what the campaign needs next."""

from __future__ import annotations

from typing import Any

from fireworks import FiretaskBase, FWAction, explicit_serialize


@explicit_serialize
class AdvanceTask(FiretaskBase):
    """Looks at the database and submits what is due; sweeps when a round has closed."""

    required_params = ("campaign",)

    def run_task(self, fw_spec: dict[str, Any]) -> FWAction:
        """Run by a rocket after the job itself."""
        from niobe.launchers.fireworks.advance import advance
        from niobe.launchers.fireworks.sweep import sweep
        from niobe.loop.store.database import open_database

        with open_database() as database:
            if database.rounds.get(self["campaign"], fw_spec["round"]).closed:
                sweep(self.launchpad, database)
            else:
                advance(self.launchpad, database, self["campaign"])
        return FWAction()
