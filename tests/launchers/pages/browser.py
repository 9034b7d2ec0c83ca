"""Headless Chromium that remembers what it asked for and what it complained of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

AXE = Path(__file__).parent / "assets" / "axe.min.js"
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_PATIENCE = 60.0
_LEFT = ("Node with given id does not belong to the document", "No node with given id found")
"""Chromium's words on an element whose page was just left, which its driver does not call stale
(Selenium's issues 15401 and 12221)."""


def chromium() -> str | None:
    """Where Chromium is, if its driver is there too."""
    return shutil.which("chromium") if shutil.which("chromedriver") else None


class Browser:
    """One window; ``complaints`` and ``foreign`` tell of every page it saw."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self._driver, self.address = driver, address

    def resize(self, width: int) -> None:
        """Make the viewport so many pixels wide."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, path: str) -> None:
        """Go to a page and wait until its plots and structures are drawn."""
        self._driver.get(self.address + path)
        self.until(lambda: not self.all(".plot:not([data-ready]), .viewer:not([data-ready])"))

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for a condition, at most a minute; what it looks at may be of a page that is just left."""
        wait = WebDriverWait(self._driver, _PATIENCE, 0.1, [StaleElementReferenceException])
        return wait.until(lambda _: _unless_left(condition))

    def all(self, selector: str) -> list[WebElement]:
        """Elements by CSS selector."""
        return self._driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The first element of a CSS selector."""
        return self._driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script."""
        return self._driver.execute_script(script, *arguments)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._driver.current_url

    def complaints(self) -> list[str]:
        """What the console said since it was last asked, but for the driver's remarks on its own speed."""
        logged: list[dict[str, Any]] = self._driver.get_log("browser")
        return [line["message"] for line in logged if "GL Driver Message" not in line["message"]]

    def foreign(self) -> list[str]:
        """Requests to anything but this machine since it was last asked."""
        events = [json.loads(line["message"])["message"] for line in self._driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        kept = [url for url in asked if urlsplit(url).scheme not in {"data", "blob", "chrome", "about"}]
        return [url for url in kept if urlsplit(url).hostname != "127.0.0.1"]

    def violations(self) -> list[str]:
        """Serious and critical findings of axe-core on the page as it is, with where they are."""
        self.run(AXE.read_text(encoding="utf-8"))
        found = self._driver.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run().then((r) => done(r.violations))"
        )
        return [
            f"{finding['id']}: {node['html'][:120]}"
            for finding in found
            if finding["impact"] in {"serious", "critical"}
            for node in finding["nodes"]
        ]


def _unless_left(condition: Callable[[], Any]) -> Any:
    """A condition's value; None where the page it looked at was left meanwhile."""
    try:
        return condition()
    except WebDriverException as error:
        if any(said in str(error) for said in _LEFT):
            return None
        raise


@contextmanager
def browsing(address: str, profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = chromium() or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(_PATIENCE)
    try:
        yield Browser(driver, address)
    finally:
        driver.quit()
