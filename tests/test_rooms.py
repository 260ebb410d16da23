"""Imports point one way between the rooms, and the light rooms stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from rooms import ROOMS, readme_map

PACKAGE = Path(__file__).parents[1] / "fairjax"
NAMES = [room.name for room in ROOMS]


def rooms_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fairjax."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "fairjax":
            found |= {alias.name for alias in node.names if alias.name != "__version__"}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("fairjax.")}
    return found


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_imports_exactly_what_its_line_names_and_only_below_it(room):
    below = NAMES[NAMES.index(room.name) + 1 :]
    assert set(room.imports) <= set(below)
    place = PACKAGE / room.name
    files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    found = set().union(*(rooms_imported(path) for path in files)) - {room.name}
    assert found == set(room.imports)


def test_every_room_has_a_line():
    paths = [p for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    assert {p.stem for p in paths} - {"__init__", "__main__"} == set(NAMES)


def test_readme_shows_the_map_as_the_table_prints_it():
    assert readme_map() in (PACKAGE.parent / "README.md").read_text()


def test_config_files_import_only_the_config_room_and_published_numbers():
    for path in (PACKAGE.parent / "configs").rglob("*.py"):
        assert rooms_imported(path) <= {"config", "protocols"}, path


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".config",
        ".metrics",
        ".protocols",
        ".core.results",
        ".report",
        ".data",
        ".cli",
        ".main",
        ".interop",
        ".audit.run",
    ],
)
def test_light_rooms_load_neither_jax_nor_tensorflow(module):
    code = (
        f"import sys, fairjax{module}; "
        "print(sorted({'jax', 'tensorflow', 'flax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.strip() == "[]"
