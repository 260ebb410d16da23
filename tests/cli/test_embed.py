"""`fairjax embed` with a model of numpy: what its flags ask for, and what it prints and leaves."""

import argparse
import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
from model_example import COLOURS, example_model, write_images

from fairjax import cli
from fairjax.cli import embed
from fairjax.core.comparisons import Pairs
from fairjax.serve import colour, sources, stream
from fairjax.serve.model import Preprocessing
from fairjax.serve.onnx_file import OnnxInput

load = importlib.import_module("fairjax.serve.load")  # `fairjax.serve.load` is the function


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What the model is loaded with; the present folder has three photos."""
    calls = []

    def load_with_notes(path, **words):
        calls.append({"path": path, **words})
        return example_model(), ["The graph names no colour."]

    monkeypatch.setattr(load, "load_with_notes", load_with_notes)
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "photos")
    return calls


LINE = ["embed", "m.onnx", "photos", "--out", "faces.npz"]


def test_each_image_has_its_embedding_and_the_file_says_how_it_was_made(asked, tmp_path, capsys):
    assert cli.main(LINE) == 0
    said = capsys.readouterr()
    assert said.out == "faces.npz: 3 images\n"
    assert said.err.startswith("The graph names no colour.\nModel: colours (onnx), sha256:012345")
    with np.load("faces.npz") as found:
        np.testing.assert_array_equal(found["embedding"], np.array(COLOURS, np.float32))
        assert found["id"].tolist() == ["0.png", "1.png", "2.png"]
        made = json.loads(str(found["made"]))
    assert (made["n"], made["unreadable"], made["resized"]) == (3, 0, 0)
    assert {path.name for path in tmp_path.iterdir()} == {"faces.npz", "photos"}


def test_what_is_there_is_not_computed_again(asked, monkeypatch, capsys):
    assert cli.main(LINE) == 0
    capsys.readouterr()
    monkeypatch.setattr(stream, "run_over", None)
    assert cli.main(LINE) == 0
    said = "faces.npz is complete: made by this model of these images.\n"
    assert capsys.readouterr().out == said
    monkeypatch.setattr(
        load, "load_with_notes", lambda path, **words: (example_model(hash="sha256:9"), ())
    )
    assert cli.main(LINE) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "was made with another model" in error and "choose another --out" in error


@pytest.mark.parametrize(
    ("words", "stated"),
    [
        ([], {}),
        (["--layout", "NHWC"], {"layout": "NHWC"}),
        (["--size", "112x96"], {"size": (112, 96)}),
        (["--colour", "BGR"], {"colour": "BGR"}),
        (["--mean", "127.5"], {"mean": (127.5,)}),
        (["--std", "1,2,3"], {"std": (1.0, 2.0, 3.0)}),
        (["--output", "fc1"], {"output": "fc1"}),
        (["--resize"], {"resizes": True}),
    ],
)
def test_a_flag_says_one_thing_of_the_input(asked, words, stated):
    assert cli.main([*LINE, *words]) == 0
    assert asked[0]["stated"] == replace(OnnxInput(), **stated)
    assert set(embed.INPUT) == {
        name if name != "resizes" else "resize" for name in OnnxInput.__dataclass_fields__
    }


@pytest.mark.parametrize(
    ("words", "flip", "step"),
    [([], "", None), (["--flip", "sum"], "sum", None), (["--step", "0"], "", 0)],
)
def test_flip_and_checkpoint_reach_the_model(asked, words, flip, step):
    assert cli.main([*LINE, *words]) == 0
    (call,) = asked
    assert (str(call["path"]), call["flip"], call["step"]) == ("m.onnx", flip, step)


def test_batches_and_threads_are_as_asked_for(asked, monkeypatch):
    run_over, calls = stream.run_over, []

    def watched(model, images, out, **words):
        calls.append((words["batch_size"], words["threads"]))
        return run_over(model, images, out, **words)

    monkeypatch.setattr(stream, "run_over", watched)
    assert cli.main([*LINE[:-1], "one.npz"]) == 0
    assert cli.main([*LINE[:-1], "two.npz", "--batch-size", "2", "--threads", "1"]) == 0
    assert calls == [(64, 0), (2, 1)]
    with np.load("one.npz") as one, np.load("two.npz") as two:
        np.testing.assert_array_equal(one["embedding"], two["embedding"])


def test_a_config_registers_what_it_defines_before_the_model_is_loaded(asked, monkeypatch):
    order = []
    monkeypatch.setattr("fairjax.config.load", lambda file: order.append((file, len(asked))))
    assert cli.main([*LINE, "--config", "mine.py"]) == 0
    assert order == [("mine.py", 0)] and len(asked) == 1
    assert cli.main([*LINE[:-1], "more.npz"]) == 0
    assert len(order) == 1


def test_landmarks_align_the_images_to_the_models_size(asked, monkeypatch):
    calls = []

    def aligned(images, table, *, size):
        calls.append((table, size))
        return replace(images, alignment="moved", notes=["It was moved."])

    monkeypatch.setattr("fairjax.serve.landmarks.aligned", aligned)
    assert cli.main([*LINE, "--landmarks", "points.csv"]) == 0
    assert calls == [("points.csv", 8)]
    with np.load("faces.npz") as found:
        assert json.loads(str(found["made"]))["alignment"] == "moved"


def test_notes_on_images_are_said(asked, monkeypatch, capsys):
    opened, sizes = sources.open_images("photos"), []

    def open_images(text, *, size):
        sizes.append((text, size))
        return replace(opened, notes=["Three photos."])

    monkeypatch.setattr(sources, "open_images", open_images)
    assert cli.main(LINE) == 0
    assert "Three photos.\n" in capsys.readouterr().err and sizes == [("photos", 8)]


@pytest.mark.parametrize(
    ("origin", "warned"), [("assumed", True), ("graph", False), ("flag", False)]
)
def test_the_order_of_colours_is_looked_at_where_it_is_assumed(
    asked, monkeypatch, capsys, origin, warned
):
    model = example_model()
    known = replace(model.preprocessing, found={"colour": origin})
    model = replace(model, preprocessing=known)
    monkeypatch.setattr(load, "load_with_notes", lambda path, **words: (model, ()))
    monkeypatch.setattr(colour, "order_warning", lambda model, images: "Is it BGR?")
    assert cli.main(LINE) == 0
    assert ("Is it BGR?" in capsys.readouterr().err) is warned


def test_resized_unreadable_and_lost_are_counted(asked, monkeypatch, tmp_path, capsys):
    write_images(tmp_path / "photos", sides=(8, 16, 12))
    (tmp_path / "photos" / "3.png").write_bytes(b"no picture")
    model = example_model()
    resizing = replace(model.preprocessing, resizes=True)
    monkeypatch.setattr(
        load, "load_with_notes", lambda path, **_: (replace(model, preprocessing=resizing), ())
    )
    whole = sources.open_images("photos")
    pairs = Pairs(np.array([0, 1, 0]), np.array([1, 3, 3]), np.zeros(3, bool), np.zeros(3, int))
    monkeypatch.setattr(sources, "open_images", lambda text, *, size: replace(whole, pairs=pairs))
    assert cli.main(LINE) == 0
    said = capsys.readouterr()
    assert said.out == "faces.npz: 3 images\n"
    assert "2 of 3 pairs have an unreadable image and are left out.\n" in said.err
    assert "2 images of another size were resized to 8 x 8.\n" in said.err
    assert "1 of 4 images cannot be read and are left out; the first, 3.png: " in said.err
    assert (tmp_path / "faces.unreadable.csv").read_text().startswith("image,reason\n3.png,")
    with np.load("faces.npz") as found:
        assert found["pairs.first"].tolist() == [0] and found["pairs.second"].tolist() == [1]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("faces.csv", "--out faces.csv: embeddings are written as .npz."),
        ("photos", "--out photos is a folder; name a file in it."),
        ("new/faces.npz", "does not exist; make it first."),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_model_is_loaded(
    asked, capsys, out, said
):
    assert cli.main([*LINE[:-1], out]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and asked == []


@pytest.mark.parametrize(
    "words",
    [
        ["--batch-size", "0"],
        ["--threads", "0"],
        ["--step", "last"],
        ["--flip", "both"],
        ["--layout", "NCWH"],
        ["--size", "big"],
        ["--mean", "1,2"],
        ["--colour", "GBR"],
    ],
)
def test_a_value_that_a_flag_never_has_ends_with_two(capsys, words):
    with pytest.raises(SystemExit) as caught:
        cli.main([*LINE, *words])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_model_is_described_by_what_it_takes_and_who_says_so():
    model = example_model(step=7)
    assert embed.describe(model) == [
        "Model: colours (onnx, step 7), sha256:0123456789ab",
        "Input: NHWC 8 x 8 RGB, as they are, (pixel - 127.5) / 127.5",
        "Embedding: 3 numbers, flip none",
    ]
    origins = {"layout": "graph", "colour": "assumed", "mean": "assumed"}
    known = Preprocessing(
        height=8, width=6, mean=(1.0, 2.0, 3.0), std=(1.0,) * 3, resizes=True, found=origins
    )
    attributes = example_model(("prob_gender",), preprocessing=known)
    assert embed.describe(attributes) == [
        "Model: colours (onnx), sha256:0123456789ab",
        "Input: NHWC 8 x 6 RGB, resized, (pixel - [1, 2, 3]) / 1 "
        "(graph: layout; assumed: colour, mean)",
    ]


def test_flags_of_the_input_default_to_what_says_nothing():
    parser = argparse.ArgumentParser()
    embed.add_input(parser)
    assert embed.onnx_input_of(parser.parse_args([])) == OnnxInput()
