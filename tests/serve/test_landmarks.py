"""Faces are aligned by five points of a table or of a detector that the user names."""

import io

import numpy as np
import onnx
import onnx_graphs as graphs
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from fairjax.cli import main
from fairjax.data.dataset import DataError
from fairjax.data.formats.align import TEMPLATE, align
from fairjax.data.formats.landmarks import match_names, read_landmarks
from fairjax.serve import ModelError
from fairjax.serve.landmarks import aligned, onnx_detector
from fairjax.serve.sources import open_images

POINTS = TEMPLATE * 1.5 + (20, 30)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (240, 220, 3), np.uint8)


@pytest.fixture
def photos(tmp_path):
    for k in range(3):
        path = tmp_path / "photos" / f"p{k}" / "a.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(picture(k)).save(path)
    return tmp_path / "photos"


def row(name, points=POINTS, separator=",", label=""):
    middle = f"{label}{separator}" if label else ""
    return f"{name}{separator}{middle}{separator.join(f'{x:.6f}' for x in points.ravel())}\n"


@pytest.mark.parametrize(("separator", "label"), [(",", ""), ("\t", "7"), (" ", "")])
def test_crops_are_those_of_the_aligner(photos, tmp_path, separator, label):
    table = tmp_path / "lmk.csv"
    table.write_text(
        "path,x1\n"
        + "".join(
            row(f"/x/p{k}/a.jpg".replace("jpg", "png"), POINTS + k, separator, label)
            for k in range(3)
        )
    )
    images = aligned(open_images(str(photos)), str(table))
    for k in range(3):
        expected = align([picture(k)], (POINTS + k)[None], size=112)[0]
        difference = np.abs(images.read(k).astype(int) - expected)
        assert difference.max() <= 1  # six decimals of the table
    assert "lmk.csv" in images.alignment


def test_align_writes_crops_and_lists_images_without_points(photos, tmp_path, capsys):
    table = tmp_path / "lmk.txt"
    table.write_text(row("p0/a.png") + row("p2/a.png"))
    line = ["align", str(photos), str(table), "--out", str(tmp_path / "crops"), "--size", "56"]
    assert main(line) == 0
    said = capsys.readouterr()
    assert "1 of 3 images have no crop; the first, p1/a.png" in said.err
    crop = np.asarray(Image.open(tmp_path / "crops" / "p2" / "a.png"))
    np.testing.assert_array_equal(crop, align([picture(2)], POINTS.round(6)[None], size=56)[0])
    assert (tmp_path / "crops" / "crops.unreadable.csv").exists()
    stamp = (tmp_path / "crops" / "p2" / "a.png").stat().st_mtime_ns
    assert main(line) == 0  # what is there is kept
    assert (tmp_path / "crops" / "p2" / "a.png").stat().st_mtime_ns == stamp


def test_points_in_another_order_are_refused(photos, tmp_path):
    for order in ([1, 0, 2, 3, 4], [3, 4, 2, 0, 1]):
        (tmp_path / "lmk.txt").write_text(
            "".join(row(f"p{k}/a.png", POINTS[order]) for k in range(3))
        )
        with pytest.raises(ModelError, match="do not fit the template"):
            aligned(open_images(str(photos)), str(tmp_path / "lmk.txt"))


def test_a_table_says_what_is_wrong_with_it(photos, tmp_path):
    table = tmp_path / "lmk.txt"
    for text, words in (
        ("a,1,2\nb,1,2\n", "lmk.txt:2: 'b,1,2' is not a path"),
        (row("a") + row("a"), "a is listed twice"),
        ("path\n", "no line with a path"),
        (row("x") + row("b", POINTS * np.nan), "lmk.txt:2"),
        (row("x") + row("b", POINTS * 0), "lmk.txt:2"),
    ):
        table.write_text(text)
        with pytest.raises(DataError, match=words):
            read_landmarks(table)
    table.write_text(row("q/z.png"))
    with pytest.raises(ModelError, match="no name in it is one of the 3 images"):
        aligned(open_images(str(photos)), str(table))


def test_a_short_name_counts_where_it_means_one_image():
    points = {"a/1.png": POINTS, "2.png": POINTS, "3.png": POINTS}
    found = match_names(["x/a/1.png", "x/b/2.png", "x/b/3.png", "x/c/3.png"], points)
    assert set(found) == {"x/a/1.png", "x/b/2.png"}


def finds(pixels):
    """A detector: none on the second picture."""
    return None if (pixels == picture(1)).all() else POINTS


def test_a_python_callable_detects(photos, monkeypatch):
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    images = aligned(open_images(str(photos)), "test_landmarks:finds")
    np.testing.assert_array_equal(images.read(0), align([picture(0)], POINTS[None], size=112)[0])
    with pytest.raises(ValueError, match="found no face"):
        images.read(1)
    for name in ("no_such_module:f", "test_landmarks:absent", "test_landmarks:POINTS"):
        with pytest.raises(ModelError):
            aligned(open_images(str(photos)), name)


@pytest.mark.parametrize("shares", [False, True])
def test_an_onnx_of_five_points_detects(photos, tmp_path, shares):
    """It gives the same points for every image, in pixels of its input or as shares of it."""
    size = 64
    told = POINTS / (220, 240) * (1 if shares else size)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            helper.make_node("Unsqueeze", ["nothing", "one"], ["column"]),
            helper.make_node("Add", ["column", "points"], ["out"]),
        ],
        "points",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, size, size])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 10])],
        [
            numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
            numpy_helper.from_array(np.array([1]), "one"),
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(told.astype(np.float32).reshape(1, 10), "points"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "five.onnx"
    onnx.save(model, str(path))
    np.testing.assert_allclose(onnx_detector(path)(picture(0)), POINTS, atol=1e-3)
    found = aligned(open_images(str(photos)), str(path)).read(0).astype(int)
    expected = align([picture(0)], POINTS[None], size=112)[0]
    assert np.abs(found - expected).max() <= 1


def test_a_crop_never_leaves_its_folder(tmp_path, capsys):
    stored = io.BytesIO()
    Image.fromarray(picture(0)).save(stored, "PNG")
    (tmp_path / "a.png").write_bytes(stored.getvalue())
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "list.txt").write_text("../a.png\n")
    (tmp_path / "lmk.txt").write_text(row("../a.png"))
    line = ["align", str(tmp_path / "lists" / "list.txt"), str(tmp_path / "lmk.txt")]
    assert main([*line, "--out", str(tmp_path / "crops")]) == 1
    assert "outside" in capsys.readouterr().err


def test_faces_are_aligned_by_a_table_on_the_way_into_a_model(photos, tmp_path):
    table, out = tmp_path / "lmk.csv", tmp_path / "emb.npz"
    table.write_text("path,x1\n" + "".join(row(f"p{k}/a.png", POINTS + k) for k in range(3)))
    graph = graphs.embedder(tmp_path / "m.onnx", graphs.weights(size=112), size=112)
    line = ["embed", str(graph), str(photos), "--landmarks", str(table), "--out", str(out)]
    assert main(line) == 0
    crops = [align([picture(k)], (POINTS + k)[None], size=112)[0] for k in range(3)]
    expected = graphs.expected(np.stack(crops), graphs.weights(size=112))
    with np.load(out) as found:
        # The table's six decimals move a few pixels by one: 1 / 127.5 of a weight of about 1.
        np.testing.assert_allclose(found["embedding"], expected, atol=1.0)
        assert np.abs(expected).mean() > 50
