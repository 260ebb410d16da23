"""A report written and read back, for the tests of reports."""

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from fairjax.core.results import Results
from fairjax.report import write_report

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Every element with its attributes; fails on tags that don't nest."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]

    def named(self, tag):
        return [attrs for found, attrs in self.tags if found == tag]


def write(folder: Path, results: Results, **more) -> str:
    path = folder / "report.html"
    given = {
        "title": "A run",
        "tables": [],
        **more,
    }
    write_report(path, results=results, **given)
    return path.read_text(encoding="utf-8")


SVG = "{http://www.w3.org/2000/svg}"


def svg_texts(svg: str) -> list[str | None]:
    """Every text of an SVG, in its order."""
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]
