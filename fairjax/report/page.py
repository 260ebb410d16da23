"""One evaluation as a page that a person would rather look at than read."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fairjax.core.files import write_whole
from fairjax.core.results import Results, Table
from fairjax.report import standards
from fairjax.report.accounts import Listing, config_lists, listing, manifest_parts, numeric_columns
from fairjax.report.attributes import sections as attribute_sections
from fairjax.report.cards import card
from fairjax.report.conditions import conditions
from fairjax.report.drawing.pictures import picture_section
from fairjax.report.drawing.svg import PALETTE
from fairjax.report.identification import sections as identification_sections
from fairjax.report.sections import (
    Section,
    Slider,
    all_numbers,
    curve_section,
    gap_section,
    method_section,
)
from fairjax.report.summary import Summary, summarise
from fairjax.report.verification import sections as verification_sections

_TEMPLATES = Path(__file__).parent / "templates"
NO_NUMBERS = Table("", [], [])
_KINDS: Mapping[str, Any] = {
    "verification": verification_sections,
    "identification": identification_sections,
}


class TestedClaim(NamedTuple):
    """A claim of a paper, and what a study found of it.

    Attributes:
      answer: "holds", "contradicted", "inconclusive", "not tested" or "not converged".
      text: The claim, in the paper's sense.
      evidence: The difference measured, its interval and p-value.
    """

    answer: str
    text: str
    evidence: str


def write_report(
    path: Path,
    *,
    title: str,
    results: Results,
    tables: Sequence[Table],
    curves: Sequence[Mapping[str, Any]] = (),
    config: Mapping[str, Any] | None = None,
    manifest: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    pictures: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes one self-contained HTML file, whole or not at all.

    The first screen holds the verdict, a bar for each group, the threshold slider and the number
    of people needed. All else stands below, most of it folded.

    The file loads nothing, escapes all it is given, and is the same bytes for the same input. What
    the results do not hold is left out. It runs a single script of our own, which its security
    policy names by hash: it saves figures and tables as files, and moves the threshold slider of a
    verification report. Where scripts are off and in print, the bars stand alone.

    Args:
      path: The file to write; its folder exists.
      title: The page's heading.
      results: The numbers; their kind chooses what is shown.
      tables: Shown as they are, but for those whose numbers the report draws itself.
      curves: Rows of `metrics.jsonl`: each has "step" and some numbers.
      config: The resolved config.
      manifest: What `data.json` holds.
      environment: What `environment.json` holds.
      pictures: By caption uint8 [rows, height, width, 3], of generated faces alone.
    """
    verification = results.kind == "verification"
    measured, more = measured_sections(results, tables)
    sections = [
        *measured,
        picture_section(pictures or {}),
        curve_section(curves),
        more,
        *_run_sections(config or {}, manifest or {}),
        method_section(results),
        *([standards.section(results)] if results.kind in _KINDS else []),
    ]
    page = Page(
        title=title,
        conditions=conditions(results.provenance),
        summary=summarise(results),
        sliders=verification_sections.sliders(results) if verification else (),
        sections=sections,
        limits=results.limits,
        provenance=listing("", {**(environment or {}), **results.provenance}),
        numbers=all_numbers(results.measures),
    )
    render(path, page)


def measured_sections(results: Results, tables: Sequence[Table]) -> tuple[list[Section], Section]:
    """The sections that show what was measured, and that of all other tables."""
    kind = _KINDS.get(results.kind, attribute_sections)
    more = [table for table in tables if not table.drawn]
    return (
        [gap_section(results), *kind.sections(results)],
        Section("tables", "Tables", tables=more, folded=results.kind not in _KINDS),
    )


# Control characters but line feed and tab, and marks that turn the order of letters: a name out of
# a file may hold them, the page itself does not.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page shows, from top to bottom.

    Attributes:
      title: Heading of the page.
      summary: The verdict and its reasons, and the rates of the first screen.
      sections: What stands below; sections without content are left out.
      limits: Sentences on what the numbers cannot show.
      provenance: Where the numbers come from.
      conditions: Sentences on smoke tests and generated data.
      sliders: Threshold sliders of the first screen.
      thesis: Claim of a paper as a whole, or "".
      tested: Claims of a paper, and what was found.
      numbers: Every number, for the file that the page saves.
    """

    title: str
    summary: Summary
    sections: Sequence[Section]
    limits: Sequence[str]
    provenance: Listing
    conditions: Sequence[str] = ()
    sliders: Sequence[Slider] = ()
    thesis: str = ""
    tested: Sequence[TestedClaim] = ()
    numbers: Table = NO_NUMBERS


def render(path: Path, page: Page) -> None:
    """Writes a page, whole or not at all."""
    names = [*(["slider.js"] if page.sliders else []), "export.js"]
    script = "\n".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = template("report.html").render(
        **{field.name: getattr(page, field.name) for field in fields(page)}
        | {"sections": [section for section in page.sections if section]},
        palette=PALETTE,
        policy=f"; img-src data:; script-src 'sha256-{digest}'",
        script=Markup(script),
        cards=[card(q, f"card-{index}") for index, q in enumerate(page.summary.compared)],
        numeric_columns=numeric_columns,
    )
    text = CONTROLS.sub("\ufffd", text)
    write_whole(path, text.encode("utf-8", "backslashreplace"))  # file names may be any bytes


def _run_sections(config: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[Section]:
    """The data and the settings of a run; nothing where there was none."""
    lists, tables = manifest_parts(manifest)
    return [
        Section("data", "Data", tables=tables, lists=lists, folded=True, printed=False),
        Section(
            "settings",
            "Settings",
            "The resolved config.",
            lists=config_lists(config),
            folded=True,
            printed=False,
        ),
    ]


def template(name: str) -> Any:
    """A page; values are escaped, and JSON for the script is ASCII without any `<`."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template(name)
