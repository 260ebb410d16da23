"""Imports point one way between the rooms, and the light rooms stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fairjax"
LEAVES = {"types", "results", "comparisons"}
MAY_IMPORT = {
    "types": set(),
    "results": set(),
    "comparisons": set(),
    "plan": set(),
    "published": set(),
    "config": {"plan"},
    "models": {"types"},
    "losses": {"types"},
    "metrics": {"comparisons", "types"},
    "data": {"comparisons", "types"},
    "freeze": {"types"},
    "optim": {"freeze", "types"},
    "sharding": {"freeze", "types"},
    "state": {"types"},
    "report": LEAVES,
    "progress": {"types"},
    "protocols": {"metrics", "published", *LEAVES},
    "heads": {"models", "losses", "types"},
    "methods": {"heads", "models", "losses", "types"},
    "steps": {"state", "types"},
    "checkpoint": {"interop", "state", "types", "workdir"},
    "workdir": {"config", "types"},
    "score": {"config", "data", "progress", "protocols", "report", "workdir", *LEAVES},
    "build": {
        "comparisons",
        "config",
        "data",
        "freeze",
        "heads",
        "methods",
        "models",
        "optim",
        "score",
        "types",
    },
    "interop": set(),
    "sensitivity": {"data", "sharding", "types"},
    "evaluate": {
        "build",
        "comparisons",
        "data",
        "metrics",
        "protocols",
        "score",
        "sensitivity",
        "sharding",
        "steps",
        "types",
    },
    "recipe": {"build", "data", "freeze", "sharding", "state", "steps", "types"},
    "capacity": {
        "build",
        "checkpoint",
        "config",
        "data",
        "freeze",
        "recipe",
        "sharding",
        "types",
    },
    "train": {
        "build",
        "checkpoint",
        "config",
        "data",
        "evaluate",
        "host",
        "progress",
        "recipe",
        "sharding",
        "state",
        "types",
    },
    "host": set(),
    "study": {"config", "data", "metrics", "plan", "report", "score", "workdir", *LEAVES},
    "main": {"build", "config", "data", "host", "score", "study", "train", "workdir"},
    "audit": {"protocols", "report", *LEAVES},
    "cli": {
        "audit",
        "build",
        "capacity",
        "config",
        "data",
        "protocols",
        "report",
        "results",
        "score",
        "study",
        "workdir",
    },
}


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


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE or p.name != "__init__.py"],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_a_room_imports_only_what_lies_below_it(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    sideways = rooms_imported(path) - MAY_IMPORT[room] - {room}
    assert not sideways, f"{path.name} in {room} imports {sorted(sideways)}"


def test_config_files_import_only_the_config_room_and_published_numbers():
    for path in (PACKAGE.parent / "configs").rglob("*.py"):
        assert rooms_imported(path) <= {"config", "published"}, path


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".config",
        ".metrics",
        ".protocols",
        ".results",
        ".report",
        ".data",
        ".cli",
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
