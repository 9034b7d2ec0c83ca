"""The example notebooks run from the first cell to the last, in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from niobe.launchers.embedded import stop_server

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 280


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("NIOBE_MONGO_URI", "NIOBE_EMBEDDED_URI", "NIOBE_HOME", "NIOBE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NIOBE_WORKERS", "2")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    yield tmp_path
    stop_server(tmp_path / ".niobe" / "db")


def run(name: str, place: Path) -> list[dict[str, Any]]:
    """What the cells of a notebook put out. Raises CellExecutionError for a cell that fails."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(place)}}).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_a_campaign_and_its_analysis(place: Path) -> None:
    texts = [output["data"]["text/plain"] for output in run("campaign.ipynb", place) if "data" in output]
    assert "'all rounds done'" in texts
    assert (place / ".niobe" / "db").is_dir()
    plots = [output for output in run("analysis.ipynb", place) if "image/png" in output.get("data", {})]
    assert len(plots) == 3


def test_every_notebook_is_stored_without_output() -> None:
    files = sorted(EXAMPLES.glob("*.ipynb"))
    assert [file.name for file in files] == ["analysis.ipynb", "campaign.ipynb"]
    for file in files:
        cells = nbformat.read(file, as_version=4).cells
        assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
