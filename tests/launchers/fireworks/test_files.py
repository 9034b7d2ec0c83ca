"""Configuration files: never over a user's own, readable by the owner alone, understood by who reads them."""

from __future__ import annotations

from pathlib import Path

import yaml

from niobe.launchers.fireworks.files import NAMES, existing, write_files
from niobe.loop.store.database import Database


def test_existing_files_stay_as_they_are(database: Database, tmp_path: Path) -> None:
    own = tmp_path / "my_fworker.yaml"
    own.write_text("name: mine\n", encoding="utf-8")
    written = write_files(tmp_path)
    assert written == {name: name != "my_fworker.yaml" for name in NAMES}
    assert own.read_text(encoding="utf-8") == "name: mine\n"
    assert set(existing(tmp_path)) == set(NAMES)
    assert not any(write_files(tmp_path).values())
    assert all(write_files(tmp_path, overwrite=True).values())
    assert own.read_text(encoding="utf-8") != "name: mine\n"


def test_only_the_owner_reads_the_address_of_the_database(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in NAMES} == {0o600}


def test_fireworks_and_jobflow_find_the_campaign_database(database: Database, tmp_path: Path) -> None:
    from fireworks import LaunchPad
    from jobflow import JobStore

    write_files(tmp_path)
    launchpad = LaunchPad.from_file(str(tmp_path / "my_launchpad.yaml"))
    assert launchpad.db.name == database.mongo.name
    assert launchpad.connection.admin.command("ping")["ok"] == 1
    launchpad.connection.close()
    settings = yaml.safe_load((tmp_path / "jobflow.yaml").read_text(encoding="utf-8"))
    store = JobStore.from_dict_spec(settings["JOB_STORE"])
    store.connect()
    store.update({"uuid": "a", "index": 1, "output": 7})
    assert database.mongo["outputs"].count_documents({"uuid": "a"}) == 1
    store.close()


def test_a_queue_job_reads_the_environment_and_runs_rockets(database: Database, tmp_path: Path) -> None:
    from fireworks.user_objects.queue_adapters.common_adapter import CommonAdapter

    write_files(tmp_path)
    adapter = CommonAdapter.from_file(str(tmp_path / "my_qadapter.yaml"))
    script = adapter.get_script_str(str(tmp_path))
    assert f'source "{tmp_path}/niobe.env"' in script
    assert "rlaunch rapidfire --nlaunches infinite" in script
    assert "#SBATCH --time=24:00:00" in script
