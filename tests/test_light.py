"""The audit runs where neither JAX nor TensorFlow is installed, and where POSIX modules are not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
TRAINING = ("flax", "jax", "jaxlib", "optax", "orbax", "tensorflow", "tensorflow_datasets")
POSIX = ("fcntl", "grp", "pwd", "resource", "termios")  # Windows has none of them
WITHOUT = f"""
import asyncio, os, signal, sys, warnings  # asyncio reads what is taken away
for name in {(*TRAINING, *POSIX)!r}:
    sys.modules[name] = None
for name in ("fork", "getuid", "mkfifo", "sysconf", "getppid", "geteuid"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "alarm", "setitimer"):
    delattr(signal, name)
warnings.filterwarnings("ignore", category=EncodingWarning)
warnings.filterwarnings("error", category=EncodingWarning, module="fairjax")
"""
# Everything but training, in one process. A text file without a stated encoding is an error: it
# would be read as cp1252 on Windows.
ALL_BUT_TRAINING = """
import importlib, pathlib, sys
import numpy as np
from PIL import Image
import fairjax
from fairjax import cli

def run(*words, code=0):
    try:
        found = cli.main([str(word) for word in words])
    except SystemExit as end:
        found = end.code
    assert found == code, (words, found)

run("audit", "--demo", "--out", "demo")
run("audit", "demo/comparisons.csv", "--bootstrap", "5", "--out", "again", "--tables")
run("diff", "demo", "again", code=1)
rows = ["id,label,said,a/b,age"]
rows += [f"{k},{k % 2},{k % 3 % 2},{'XY'[k // 2 % 2]},{20 + k % 40}" for k in range(80)]
pathlib.Path("p.csv").write_text("\\n".join(rows), encoding="utf-8")
predictions = ["--label", "label", "--prediction", "said", "--bootstrap", "5", "--out", "by"]
run("audit", "p.csv", *predictions, "--by", "a/b", "--by", "age:18,30,45")
assert sorted(path.name for path in pathlib.Path("by").iterdir()) == ["a-b", "age-18,30,45"]
for person in range(12):
    folder = pathlib.Path("faces", f"p{person}")
    folder.mkdir(parents=True)
    for k in range(3):
        noise = np.random.default_rng([person, k]).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{k}.png")
run("data", "check", "identities", "faces", "--json", "check.json")
root = pathlib.Path(fairjax.__file__).parents[1]
for module in (root / "fairjax").rglob("*.py"):
    name = ".".join(module.relative_to(root).with_suffix("").parts)
    room = (name.split(".") + [""])[1]
    light = ("audit", "cli", "core", "metrics", "protocols", "report")
    if room in light and "__main__" not in name and name != "fairjax.core.types":
        importlib.import_module(name.removesuffix(".__init__"))
unfit = set('<>:"|?*')
assert not [p for p in pathlib.Path(".").rglob("*") if unfit & set(p.name)]
"""


def test_all_but_training_needs_neither_jax_nor_posix_nor_a_utf_8_locale(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", ALL_BUT_TRAINING],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000


def test_an_onnx_model_embeds_without_jax_and_tensorflow(tmp_path):
    graphs = pytest.importorskip("onnx_graphs")
    graphs.embedder(tmp_path / "m.onnx")
    (tmp_path / "photos").mkdir()
    for k in range(3):
        pixels = np.full((graphs.SIZE, graphs.SIZE, 3), 50 * k, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{k}.png")
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    done = subprocess.run(
        [sys.executable, "-m", "fairjax.cli", "embed", "m.onnx", "photos", "--out", "e.npz"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "e.npz") as arrays:
        assert arrays["embedding"].shape == (3, graphs.DIM)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_declared_python_is_in_the_workflow(python):
    assert f'"Programming Language :: Python :: {python}"' in (ROOT / "pyproject.toml").read_text()
    assert f'"{python}"' in (ROOT / ".github" / "workflows" / "checks.yml").read_text()


def test_the_audit_needs_no_package_that_an_extra_brings():
    text = (ROOT / "pyproject.toml").read_text()
    needed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
    assert not {"jax", "flax", "tensorflow", "torch"} & set(re.findall(r'"([a-z_-]+)', needed))


def test_pinned_versions_cover_what_the_project_asks_for():
    text = (ROOT / "pyproject.toml").read_text()
    pins = {
        line.partition("==")[0]
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    asked = re.findall(r'^  "([A-Za-z0-9_-]+)>=[^"]*?"', text, re.MULTILINE)
    assert len(asked) > 20
    assert {name.lower().replace("_", "-") for name in asked} - {"tensorflow", "torch"} <= pins


def test_the_version_is_the_same_everywhere():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f'"{version}"' in (ROOT / "fairjax" / "__init__.py").read_text()
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version}\n" in (ROOT / "CHANGELOG.md").read_text()
