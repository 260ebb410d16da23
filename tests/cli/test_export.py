"""`fairjax export` as it is typed; what is written is tested in `serve`."""

import importlib
from types import SimpleNamespace

import pytest

from fairjax import cli

exporting = importlib.import_module("fairjax.serve.export")
RUN = SimpleNamespace(step=30, settings=SimpleNamespace(title="Mine"))


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """What is done in order, on a run's folder `run` whose model is three bytes."""
    done = []
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)

    def load_run(folder, *, step, flip):
        done.append(("load", str(folder), step, flip))
        return RUN

    def export(run, out, *, kind, normalised, card):
        done.append(("export", kind, normalised, card))
        for suffix in ("", ".json", ".data"):
            out.with_name(out.name + suffix).write_bytes(b"abc")

    monkeypatch.setattr("fairjax.run.loading.load_run", load_run)
    monkeypatch.setattr(exporting, "export", export)
    monkeypatch.setattr(exporting, "licence_note", lambda run: "No licence.")
    monkeypatch.setattr("fairjax.serve.card.card_of_run", lambda folder: f"card of {folder}")
    monkeypatch.setattr(
        "fairjax.serve.card.hub_card",
        lambda folder, *, title, licence_note: f"{folder} {title} {licence_note}",
    )
    monkeypatch.setattr("fairjax.config.load", lambda file: done.append(("register", file)))
    return done


def line(form, *words, out=None):
    return ["export", "run", "--to", form, "--out", out or f"m.{form}", *words]


@pytest.mark.parametrize("form", ["onnx", "stablehlo", "safetensors"])
def test_a_form_is_written_with_the_runs_card(steps, capsys, form):
    assert cli.main(line(form)) == 0
    assert steps == [("load", "run", None, ""), ("export", form, False, "card of run")]
    assert capsys.readouterr().out == f"m.{form}: 0.0 MiB, step 30\n"


@pytest.mark.parametrize(
    ("words", "loaded", "normalised"),
    [
        (["--step", "7"], (7, ""), False),
        (["--flip", "concat"], (None, "concat"), False),
        (["--input", "normalised"], (None, ""), True),
        (["--input", "pixels"], (None, ""), False),
    ],
)
def test_a_flag_changes_one_thing(steps, words, loaded, normalised):
    assert cli.main(line("onnx", *words)) == 0
    assert steps == [("load", "run", *loaded), ("export", "onnx", normalised, "card of run")]


def test_a_config_registers_before_the_run_is_loaded(steps):
    assert cli.main(line("onnx", "--config", "mine.py")) == 0
    assert [step[0] for step in steps] == ["register", "load", "export"]
    assert steps[0] == ("register", "mine.py")


def test_a_card_for_the_hub_is_written_beside_it(steps, tmp_path, capsys):
    assert cli.main(line("onnx", "--card", "README.md")) == 0
    assert (tmp_path / "README.md").read_text() == "run Mine No licence."
    assert capsys.readouterr().out.endswith("README.md: model card\n")
    assert cli.main(line("onnx", "--card", "none/README.md")) == 1
    assert "make it first" in capsys.readouterr().err and len(steps) == 2


@pytest.mark.parametrize(
    ("difference", "kept"),
    [(0.0, True), (exporting.TOLERANCE, True), (1.01e-4, False), (float("nan"), False)],
)
def test_a_file_that_computes_something_else_is_deleted_with_all_beside_it(
    steps, tmp_path, monkeypatch, capsys, difference, kept
):
    assert exporting.TOLERANCE == 1e-4
    loaded = []

    def largest(run, model):
        loaded.append(model)
        return difference

    monkeypatch.setattr(exporting, "largest_difference", largest)
    monkeypatch.setattr("fairjax.serve.load", lambda path: f"model of {path}")
    assert cli.main(line("stablehlo", "--check")) == (0 if kept else 1)
    said = capsys.readouterr()
    assert f"Largest difference on generated faces: {difference:.1e} of the largest" in said.out
    assert "(at most 1e-04)" in said.out and loaded == ["model of m.stablehlo"]
    left = {path.name for path in tmp_path.glob("m.*")}
    names = {"m.stablehlo", "m.stablehlo.json", "m.stablehlo.data"}
    assert left == (names if kept else set())
    if not kept:
        assert (
            "m.stablehlo computed something else than the run and was deleted; try an" in said.err
        )


def test_without_check_nothing_is_compared(steps, monkeypatch):
    monkeypatch.setattr(exporting, "largest_difference", None)
    assert cli.main(line("onnx")) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (line("onnx", out="m.pb"), "--out m.pb: --to onnx writes .onnx."),
        (line("onnx", out="run"), "--out run is a folder; name a file in it."),
        (["export", "none", *line("onnx")[2:]], "none is no run's folder."),
    ],
)
def test_what_cannot_be_exported_is_refused_before_a_run_is_loaded(steps, capsys, words, said):
    assert cli.main(words) == 1
    assert capsys.readouterr().err == f"fairjax: {said}\n" and steps == []


@pytest.mark.parametrize("words", [["--to", "torch"], ["--input", "faces"], ["--step", "last"]])
def test_a_value_that_a_flag_never_has_ends_with_two(capsys, words):
    with pytest.raises(SystemExit) as caught:
        cli.main([*line("onnx"), *words])
    assert caught.value.code == 2 and capsys.readouterr().err.count("\n") == 1
