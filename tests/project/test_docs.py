"""The documents agree with what they speak of: links, paths, indexes, and figures as they were measured."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.benchmarks.publish import PAGES, README, rendered, with_figures
from tests.project.records import DOCS, LEADS, index

ROOT = DOCS.parent
PROSE = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
HISTORY = {"CHANGELOG.md"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:config|docs|examples|flows|launchers|loop|niobe|surrogates|tests)/[\w./-]*)`")
MODULE = re.compile(r"python -m (tests(?:\.\w+)+)")


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as hosts of Markdown make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", PROSE, ids=name)
def test_every_link_leads_somewhere(file: Path) -> None:
    for target in LINK.findall(file.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = unquote(target).partition("#")
        place = file.parent / path if path else file
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("file", [file for file in PROSE if file.name not in HISTORY], ids=name)
def test_every_path_and_module_that_is_named_exists(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == []
    modules = [ROOT / module.replace(".", "/") for module in MODULE.findall(text)]
    assert [m for m in modules if not (m.with_suffix(".py").exists() or (m / "__main__.py").exists())] == []


@pytest.mark.parametrize("folder", sorted(LEADS))
def test_the_index_of_records_is_made_from_their_heads(folder: str) -> None:
    assert (DOCS / folder / "README.md").read_text(encoding="utf-8") == index(folder)


def test_a_number_belongs_to_one_record() -> None:
    numbers = [file.name[:4] for folder in LEADS for file in (DOCS / folder).glob("[0-9]*.md")]
    assert sorted(numbers) == sorted(set(numbers))


def test_pages_of_figures_are_made_from_what_was_measured() -> None:
    pages = rendered()
    assert {file.name for file in (DOCS / "benchmarks").glob("*.md")} == pages.keys()
    for page, text in pages.items():
        assert (DOCS / "benchmarks" / page).read_text(encoding="utf-8") == text, "run `make figures`"


def test_figures_of_the_readme_are_those_measured() -> None:
    text = README.read_text(encoding="utf-8")
    assert "<!-- figures: " in text
    assert with_figures(text) == text, "run `make figures`"


def test_every_subject_has_figures() -> None:
    assert [page for page in PAGES if "## " not in rendered()[f"{page}.md"]] == []
