"""Every config file loads, validates and runs its smoke from images to report."""

from pathlib import Path

import pytest
from blocks import runnable
from rich.console import Console

from fairjax import study
from fairjax.config import ConfigError, load, validate, validate_devices
from fairjax.core.results import load_results
from fairjax.run import score
from fairjax.run.build import build_run
from fairjax.run.experiment import run_experiment
from fairjax.study.control import make_control

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.py"))


def by_name(path):
    return path.relative_to(path.parents[1]).as_posix()


def run_by_a_page(path):
    """Whether a page of the docs trains the smoke of a config, as `tests/test_docs.py` does."""
    line = f"--config {path.relative_to(ROOT / 'configs').with_suffix('').as_posix()}:smoke "
    pages = (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    return any(line in block for page in pages for block in runnable(page))


@pytest.mark.parametrize("path", CONFIGS, ids=by_name)
@pytest.mark.parametrize("arg", ["", "smoke", "seed=7"])
def test_a_config_is_valid_and_fits_the_code(path, arg):
    config = load(f"{path}:{arg}")
    validate(config)
    settings = build_run(config)
    validate_devices(settings.train, settings.eval, 8)
    assert config.seed == (7 if "seed" in arg else 0)
    assert config.is_locked


@pytest.mark.parametrize("path", CONFIGS, ids=by_name)
def test_an_unknown_argument_is_refused(path):
    with pytest.raises(ConfigError, match="'huge' is not known"):
        load(f"{path}:huge")


# What these train is trained by smokes of the same kind; they run with all tests (`-m ''`).
LIKE_OTHERS = {
    "studies/rfw.py",
    "studies/utkface_masking.py",
    "studies/utkface_methods.py",
    "studies/utkface_tfc.py",
    "utkface/vicreg.py",
    "utkface/vit.py",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=pytest.mark.exhaustive) if by_name(p) in LIKE_OTHERS else p
        for p in CONFIGS
        if not run_by_a_page(p)
    ],
    ids=by_name,
)
def test_the_smoke_of_a_config_reaches_its_report(path, tmp_path, monkeypatch):
    config = load(f"{path}:smoke")
    if "study" in config:
        # The reports of its runs are drawn alike, and so by the smokes of single runs.
        monkeypatch.setattr(score, "write_report", lambda path, **content: path.touch())
        runs = study.expand(config, tmp_path, overrides={})
        study.save_study(tmp_path, config.study, "fairjax")
        for one in runs:
            if one.noise:
                make_control(one, config.study)
            else:
                assert run_experiment(build_run(one.tree), one.folder) == 0
        assert all(one.done for one in runs)
        study.summarise(tmp_path, Console())
    else:
        assert run_experiment(build_run(config), tmp_path) == 0
        assert load_results(tmp_path / "results.json").measures
    assert (tmp_path / "report.html").stat().st_size > 10_000
