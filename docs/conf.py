"""Sphinx configuration: builds the site without network, every warning an error.

python -m sphinx -W -b html docs build/docs
"""

import argparse
import importlib
import inspect
import re
import textwrap
from pathlib import Path

from sphinx.application import Sphinx

import fairjax
from fairjax.cli import _parser
from fairjax.main import usage

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "fairjax"

project = "FairJAX"
author = "FairJAX developers"
copyright = "2026, FairJAX developers"
version = release = fairjax.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
suppress_warnings = ["toc.multi_toctree"]
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"FairJAX {version}"
html_static_path = ["_static"]
html_css_files = ["wide_tables.css"]
html_show_sphinx = False

# The rooms that a reader calls from Python. TensorFlow's builders and the run's own machinery are
# read in the source.
API = ("core", "metrics", "protocols", "audit", "report", "config", "losses", "methods", "heads")
API += ("models", "optim", "interop", "data")
LEFT_OUT = re.compile(r"data\.(tfds|stream)|models\.layers\.(kernel_gradient|winograd|once)")


def modules(room: str) -> list[str]:
    """Dotted names of a room's modules, the room first."""
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((PACKAGE / room).rglob("*.py"))
    ]
    return [name for name in sorted(names) if not LEFT_OUT.search(name)]


def write_api() -> None:
    """One page a room, from the docstrings."""
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    kept = set()
    for room in API:
        doc = inspect.getdoc(importlib.import_module(f"fairjax.{room}")) or ""
        lines = [f"# fairjax.{room}", "", *doc.splitlines(), ""]
        for name in modules(room):
            if name == f"fairjax.{room}":  # re-exports, and the text above
                continue
            lines += [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}"]
            lines += ["   :members:", "```", ""]
        write(folder / f"{room}.md", "\n".join(lines))
        kept.add(f"{room}.md")
    rows = "\n".join(f"fairjax.{room} <{room}>" for room in API)
    write(
        folder / "index.md",
        "# API reference\n\nFrom the docstrings. `core`, `metrics`, `protocols`, `audit`, "
        "`report`, `config` and `interop` import neither JAX nor TensorFlow.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{rows}\n```\n",
    )


def write_commands() -> None:
    """The pages of `--help`, as the commands print them."""
    lines = ["# Commands", "", "What `--help` prints.", ""]
    sections = [("fairjax", _parser())]
    while sections:
        name, parser = sections.pop(0)
        parser.formatter_class = type(
            "Narrow", (parser.formatter_class,), {"__init__": _narrow(parser.formatter_class)}
        )
        lines += [f"## {name}", "", "```text", parser.format_help().rstrip(), "```", ""]
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                sections += [(f"{name} {verb}", found) for verb, found in action.choices.items()]
    lines += ["## python -m fairjax.main", "", "```text", usage().rstrip(), "```", ""]
    write(HERE / "reference" / "commands.md", "\n".join(lines))


def _narrow(base: type) -> object:
    return lambda self, prog: base.__init__(self, prog, width=92)


def write(path: Path, text: str) -> None:
    """Writes a generated page, if it has changed: Sphinx then reads it again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def plain_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Turns our docstrings, which are plain text, into valid reStructuredText.

    Indented blocks outside of the sections are formulas and tables, shown as they stand; stars and
    bars are characters, not markup.
    """
    made: list[str] = []
    prose: list[str] = []
    in_section = False
    place = 0
    while place < len(lines):
        line = lines[place]
        if re.fullmatch(r"(Args|Returns|Raises|Yields|Attributes|Examples?):", line):
            in_section = True
        elif line and not line.startswith(" ") and not lines[place - 1]:
            in_section = False
        if in_section or not line.startswith((" ", ">>>")):
            prose.append(line)
            place += 1
            continue
        end = next(
            (k for k in range(place + 1, len(lines)) if lines[k] and not lines[k].startswith(" ")),
            len(lines),
        )
        block = textwrap.dedent("\n".join(lines[place:end])).rstrip().splitlines()
        made += [*_escaped(prose), "", ".. code-block:: text", ""]
        made += [*(f"   {text}" for text in block), ""]
        prose, place = [], end
    lines[:] = made + _escaped(prose)


def skip_imported(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leaves out what a module imports, whose signature can't always be read (Python 3.13)."""
    foreign = inspect.isclass(obj) and not obj.__module__.startswith("fairjax")
    return True if what == "module" and foreign else None


def _escaped(lines: list[str]) -> list[str]:
    """Escapes what reStructuredText would take for markup, outside of backticks."""
    parts = "\n".join(lines).split("`")
    for place in range(0, len(parts), 2):
        text = re.sub(r"([*|]|(?<=\w)_(?=\W|$))", r"\\\1", parts[place])
        if place and text[:1].isalnum():  # `merge`s
            text = "\\ " + text
        parts[place] = text
    return "`".join(parts).split("\n") if lines else []


def setup(app: Sphinx) -> None:
    """Generates the pages, then lets Sphinx read."""
    write_api()
    write_commands()
    app.connect("autodoc-process-docstring", plain_docstring, priority=100)
    app.connect("autodoc-skip-member", skip_imported)
