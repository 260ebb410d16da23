"""The package's words: a description stands alone, and no word of our own replaces the field's."""

import ast
import inspect
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fairjax"

# A genitive without a noun ("Of every NT-Xent."), or a reference in a description's place.
BARE = re.compile(r"(Of|Likewise|Ditto|As|Such as|Those|That|The same|Its|Their|See)\b")

# What the field has words for: early stopping, abstract state, dry run, run.log, frozen.
PRIVATE = re.compile(r"\b(judged|born|rehears\w*|said\.txt|held still|holds still)\b|# fmt: skip")

SECTION = re.compile(r"^ *(Args|Attributes|Returns|Yields):$")
ENTRY = re.compile(r"^(?P<name>\*{0,2}\w+): +(?P<text>\S.*)$")


def descriptions(docstring: str) -> list[tuple[str, str]]:
    """Name and description of every argument and attribute, and of what is returned ("")."""
    entries: list[tuple[str, str]] = []
    section, margin = "", 0
    for line in inspect.cleandoc(docstring).splitlines():
        if match := SECTION.match(line):
            section, margin = match[1], 0
        elif line and not line.startswith(" "):
            section = ""
        elif section and line:
            indent = len(line) - len(line.lstrip())
            first = margin == 0
            margin = margin or indent
            if section in ("Returns", "Yields"):
                entries += [("", line.strip())] if first else []
            elif indent == margin and (match := ENTRY.match(line.strip())):
                entries.append((match["name"], match["text"]))
    return entries


def docstrings(source: str) -> list[tuple[int, str]]:
    """Line and text of every docstring of a module."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    found = [(getattr(node, "lineno", 1), ast.get_docstring(node)) for node in nodes]
    return [(line, text) for line, text in found if text]


def bare_descriptions(source: str) -> list[str]:
    """`line name: description` of every description that does not stand alone."""
    return [
        f"{line} {name}: {text}"
        for line, docstring in docstrings(source)
        for name, text in descriptions(docstring)
        if BARE.match(text)
    ]


def private_words(source: str) -> list[str]:
    """`line word` of every word of our own for something that the field has a word for."""
    return [
        f"{number} {match[0]}"
        for number, line in enumerate(source.splitlines(), start=1)
        for match in PRIVATE.finditer(line)
    ]


MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_descriptions_stand_alone_and_words_are_the_fields(module):
    source = (PACKAGE / module).read_text()
    assert bare_descriptions(source) == [], "say what it is: a noun first, then whose"
    assert private_words(source) == [], "use the field's word"


SAMPLE = '''
def f(a, b, c, d, e):
    """A loss.

    Something: Of no interest.

    Args:
      a: Of every NT-Xent.
      b: Temperature of every NT-Xent,
        likewise above 0.
      c: As above.
      *d: See `g`.
      e: Seed of the draw; see `g`.

    Returns:
      The same, reversed.
      Of its parts, two.
    """
    return "born"  # to be judged; # fmt: skip
'''


def test_the_check_sees_a_genitive_a_back_reference_and_a_private_word():
    names = [entry.split(":")[0] for entry in bare_descriptions(SAMPLE)]
    assert names == ["2 a", "2 c", "2 *d", "2 "]
    words = [entry.split(" ", 1)[1] for entry in private_words(SAMPLE)]
    assert words == ["born", "judged", "# fmt: skip"]
