"""Templates of pages and reports: one environment, every value escaped."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from niobe.launchers.output.goals import units
from niobe.loop.crystals.similarity import spacegroup_name
from niobe.loop.documents.durations import duration
from niobe.loop.documents.tiers import finding, novelty_text, phase_by, tier_text

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from niobe.launchers.pages.style import Plot

HERE = Path(__file__).parent
STATIC = HERE / "static"
_PLAIN = TypeAdapter[Any](Any)
_SCRIPT_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_STEERING = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
"""Control characters but tabs and line ends, and marks that turn the writing around."""


@functools.cache
def environment() -> Environment:
    """The Jinja environment; an undefined name in a template is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_legible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number, "percent": percent, "duration": duration}
    made.filters |= {"formula": formula, "spacegroup": spacegroup, "plot": plot_json}
    made.filters |= {"tier": tier_text, "novelty": novelty_text, "finding": finding, "properties": units}
    made.filters |= {"phase_by": phase_by}
    return made


def _legible(value: Any) -> Any:
    """A text with what steers its writing spelt out, as ``\\u202e``; what is no text, or ours, as it is."""
    from markupsafe import Markup

    return value if isinstance(value, Markup) or not isinstance(value, str) else _spelt_out(value)


def _spelt_out(text: str) -> str:
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def compile_templates() -> None:
    """Compile every template, which the first page of each kind would otherwise do."""
    for name in environment().list_templates():
        environment().get_template(name)


def render(template: str, **values: Any) -> str:
    """One page."""
    return environment().get_template(template).render(**values)


def number(value: float | None, digits: int = 3) -> str:
    """A figure with a true minus sign, which a zero has not; a dash where there is none."""
    if value is None:
        return "–"
    shown = f"{value:z.{digits}f}" if isinstance(value, float) else f"{value:,}"
    return shown.replace("-", "−")


def percent(value: float | None) -> str:
    """A share between 0 and 1 in whole percent."""
    return "–" if value is None else f"{100 * value:.0f} %"


def formula(text: str) -> Markup:
    """A formula with its numbers as subscripts."""
    return _subscripts(r"(\d+)", text)


def spacegroup(number: int) -> Markup:
    """The Hermann-Mauguin symbol, screw axes as subscripts, with the international number.

    number: international number.
    """
    return _subscripts(r"_(\d)", spacegroup_name(number))


def _subscripts(pattern: str, text: str) -> Markup:
    from markupsafe import Markup, escape

    return Markup(re.sub(pattern, r"<sub>\1</sub>", str(escape(_spelt_out(text)))))


def plot_json(plot: Plot) -> Markup:
    """A plot as JSON that is safe inside a script element. Raises PydanticSerializationError for values that
    JSON does not have, but for NaN and infinity, which become null."""
    from markupsafe import Markup

    frames = {"frames": plot.frames} if plot.frames else {}
    text = _PLAIN.dump_json({"data": plot.data, "layout": plot.layout} | frames).decode()
    for character, escape in _SCRIPT_ESCAPES.items():
        text = text.replace(character, escape)
    return Markup(_spelt_out(text))


def asset(name: str) -> Markup:
    """A file of ours or plotly.js, to be written into a page that must open by itself."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    text = get_plotlyjs() if name == "plotly.js" else (STATIC / name).read_text(encoding="utf-8")
    return Markup(text)
