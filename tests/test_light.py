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
import os, sys
for name in {(*TRAINING, *POSIX)!r}:
    sys.modules[name] = None
for name in ("fork", "getuid", "mkfifo", "sysconf"):
    delattr(os, name)
"""


def test_the_demonstration_needs_neither_jax_nor_posix(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    done = subprocess.run(
        [sys.executable, "-m", "fairjax.cli", "audit", "--demo", "--out", "demo"],
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
