"""The pages in headless Chromium, over the database of a real campaign that is watched while it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from selenium.webdriver.common.keys import Keys

from niobe.config.spec import CampaignSpec
from niobe.launchers.embedded import ensure_server, stop_server
from niobe.launchers.pages.server.access import Access
from niobe.loop.documents.records import StructureRecord
from niobe.loop.store.database import Database
from tests.launchers.pages.browser import Browser, browsing, chromium
from tests.launchers.pages.serving import served

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="needs Debian's chromium and chromium-driver"),
    pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING to false"),  # spglib under CifWriter
]
TOKEN = "a-token-of-the-tests"
CAMPAIGN = {
    "id": "cu-au",
    "elements": ["Cu", "Au"],
    "seed": 3,
    "limits": {"max_atoms": 6},
    "budget": {"rounds": 2, "validations": 6},
    "seeds": {"max_prototypes": 3},
    "generation": {"candidates": 10, "mix": [{"name": "random"}, {"name": "prototype"}]},
    "surrogate": {"members": 2, "epochs": 5},
    "acquisition": {"batch": 3, "control_share": 0.34},
    "oracle": {"name": "emt", "fmax": 0.05},
    "phonons": {"min_length": 5.0, "window": 10.0},
}
PAGES = (
    "/",
    "/campaigns/cu-au",
    "/campaigns/cu-au/rounds",
    "/campaigns/cu-au/hull",
    "/campaigns/cu-au/table",
)


@dataclass
class Looked:
    """A browser at the pages of a finished campaign, and what it saw while the campaign ran."""

    browser: Browser
    database: Database
    states: list[str]

    def records(self, status: str) -> list[StructureRecord]:
        return self.database.records.find("cu-au", status=status)

    def unstable(self) -> StructureRecord:
        """A structure with a soft mode."""
        found = [
            r for r in self.records("validated") if (p := self.database.phonons.find_one(r.id)) and p.modes
        ]
        return found[0]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    folder = tmp_path_factory.mktemp("looked")
    uri = ensure_server(folder / "home" / "db")
    database = Database.connect(uri, "niobe")
    database.campaigns.create(CampaignSpec.model_validate(CAMPAIGN))
    access = Access(token=TOKEN, steering=True)
    with served(database, uri, access) as address, browsing(address, folder / "profile") as browser:
        yield Looked(browser, database, watch(browser, folder))
    database.close()
    stop_server(folder / "home" / "db")


def watch(browser: Browser, folder: Path) -> list[str]:
    """Run the campaign while its page is open; every text its progress had, without a reload."""
    browser.resize(1280)
    browser.open("/campaigns/cu-au")
    browser.run("window.neverReloaded = true")
    (folder / "c.yaml").write_text(yaml.safe_dump(CAMPAIGN), encoding="utf-8")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NIOBE_")}
    ours = {
        "NIOBE_HOME": str(folder / "home"),
        "NIOBE_WORKERS": "1",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    command = [sys.executable, "-c", "from niobe.launchers.cli import main; main()", "launch", "c.yaml"]
    states: list[str] = []
    with subprocess.Popen(command, cwd=folder, env=inherited | ours, stdout=subprocess.DEVNULL) as launched:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and not (states and "finished" in states[-1]):
            text = browser.one("[data-live]").text
            if not states or text != states[-1]:
                states.append(text)
            time.sleep(0.1)
        assert launched.wait(60) == 0
    assert browser.run("return window.neverReloaded")
    return states


def test_progress_is_live_while_rounds_run(looked: Looked) -> None:
    assert len(looked.states) >= 4
    assert "making seeds" in looked.states[0] or "between rounds" in looked.states[0]
    assert any("round 1" in state for state in looked.states)
    assert any("round 2" in state for state in looked.states)
    assert looked.states[-1].startswith("finished")
    assert "6\nvalidations of 6" in looked.states[-1]


@pytest.mark.parametrize("width", [1280, 400])
def test_every_page_is_quiet_stays_home_and_is_accessible(looked: Looked, width: int) -> None:
    browser = looked.browser
    browser.resize(width)
    browser.complaints(), browser.foreign()
    structures = [looked.unstable(), looked.records("screened")[0]]
    for path in (*PAGES, "/workers", "/login", *(f"/structures/{record.id}" for record in structures)):
        browser.open(path)
        assert browser.violations() == [], path
        assert browser.complaints() == [], path
        assert browser.foreign() == [], path
        assert browser.run("return document.documentElement.scrollWidth") <= width, path


def test_the_slider_goes_through_the_rounds_by_keyboard(looked: Looked) -> None:
    browser = looked.browser
    browser.resize(1280)
    browser.open("/campaigns/cu-au/hull")
    points = (
        "return document.querySelector('.plot .canvas').data"
        ".reduce((count, trace) => count + (trace.customdata || []).length, 0)"
    )
    last = browser.run(points)
    slider = browser.one(".slider input")
    slider.send_keys(Keys.HOME)
    assert browser.one(".slider output").text == "0"
    browser.until(lambda: browser.run(points) < last)
    slider.send_keys(Keys.END)
    browser.until(lambda: browser.run(points) == last)


def test_a_click_on_a_point_leads_to_its_structure(looked: Looked) -> None:
    browser = looked.browser
    browser.open("/campaigns/cu-au/hull")
    record = browser.run(
        "const canvas = document.querySelector('.plot .canvas');"
        "const point = {customdata: canvas.data.findLast((t) => t.customdata?.length).customdata[0]};"
        "canvas.emit('plotly_click', {points: [point]}); return point.customdata"
    )
    browser.until(lambda: browser.url.endswith(f"/structures/{record}"))
    assert browser.one("h1").text


def test_the_filter_narrows_the_table(looked: Looked) -> None:
    browser = looked.browser
    browser.open("/campaigns/cu-au/table")
    everything = int(browser.one("#total").text)
    browser.one("input[name=formula]").send_keys("CuAu")
    browser.one("#filter button").click()
    browser.until(lambda: "formula=CuAu" in browser.url)
    shown = [cell.text for cell in browser.all("td.formula")]
    assert 0 < int(browser.one("#total").text) < everything
    assert set(shown) == {"CuAu"}


def test_a_soft_mode_moves_the_atoms(looked: Looked) -> None:
    browser = looked.browser
    browser.open(f"/structures/{looked.unstable().id}")
    picture = "return document.querySelector('.viewer canvas').toDataURL()"
    button = browser.one("[data-mode]")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    first = browser.run(picture)
    browser.until(lambda: browser.run(picture) != first)
    assert browser.complaints() == []


def test_pin_and_veto_through_the_page_with_the_token(looked: Looked) -> None:
    browser = looked.browser
    pinned, vetoed = looked.records("screened")[:2]
    browser.open("/login")
    browser.one("input[name=token]").send_keys(TOKEN)
    browser.one("form button").click()
    browser.until(lambda: browser.url.rstrip("/") == browser.address)
    for record, action in ((pinned, "pin"), (vetoed, "veto")):
        browser.open(f"/structures/{record.id}")
        browser.one("input[name=note]").send_keys("by hand <b>")
        browser.one(f"button[value={action}]").click()
        browser.until(lambda: "by hand <b>" in browser.one(".about").text)
    assert looked.database.records.get(pinned.id).pinned
    assert looked.database.records.get(vetoed.id).status.value == "vetoed"
    assert looked.database.records.get(vetoed.id).note == "by hand <b>"
