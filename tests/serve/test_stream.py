"""Images of every kind go through a model: counted, resumed, listed where they cannot be read."""

import io
import json
import tarfile

import numpy as np
import onnx_graphs as graphs
import pytest
from PIL import Image

from fairjax.cli import main
from fairjax.data.dataset import DataError
from fairjax.serve import ModelError, load, stream
from fairjax.serve.decode import decode, resize
from fairjax.serve.sources import open_images

SIZE = graphs.SIZE


def png(pixels):
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    return stored.getvalue()


def pictures(n, size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), np.uint8)


@pytest.fixture
def model(tmp_path):
    return graphs.embedder(tmp_path / "m.onnx")


@pytest.fixture
def folder(tmp_path):
    """Seven pictures in two folders, and a text that calls itself a picture."""
    for k, pixels in enumerate(pictures(7)):
        path = tmp_path / "photos" / f"p{k // 4}" / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(pixels))
    (tmp_path / "photos" / "p1" / "bad.jpg").write_bytes(b"no picture")
    return tmp_path / "photos"


def embedded(path):
    with np.load(path) as arrays:
        found = dict(arrays)
    return found | {"made": json.loads(str(found["made"]))}


def test_a_folder_gives_one_row_an_image_and_lists_what_is_none(model, folder, tmp_path, capsys):
    out = tmp_path / "emb.npz"
    assert main(["embed", str(model), str(folder), "--out", str(out)]) == 0
    found = embedded(out)
    assert found["id"].tolist() == [f"p{k // 4}/{k}.png" for k in range(7)]
    np.testing.assert_allclose(
        found["embedding"], graphs.expected(pictures(7)), rtol=1e-4, atol=1e-4
    )
    assert found["made"]["unreadable"] == 1 and found["made"]["n"] == 7
    assert found["made"]["model_hash"] == load(model).hash
    assert found["made"]["preprocessing"].startswith("8 x 8 RGB")
    said = capsys.readouterr()
    assert "1 of 8 images cannot be read" in said.err and "p1/bad.jpg" in said.err
    assert "size" in said.err and "assumed: colour, mean, std" in said.err
    listed = (tmp_path / "emb.unreadable.csv").read_text().splitlines()
    assert listed[0] == "image,reason" and listed[1].startswith("p1/bad.jpg,")
    assert not stream.parts_folder(out).exists()


def test_tar_and_lists_give_the_same_rows(model, folder, tmp_path):
    (folder / "p1" / "bad.jpg").unlink()
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(folder, "photos")
    (tmp_path / "list.txt").write_text("".join(f"photos/p{k // 4}/{k}.png\n" for k in range(7)))
    rows = [f"photos/p{k // 4}/{k}.png,who{k},{'ab'[k % 2]}\n" for k in range(7)]
    (tmp_path / "list.csv").write_text("image,subject,team\n" + "".join(rows))
    found = {}
    for name in ("photos.tar", "list.txt", "list.csv"):
        out = tmp_path / f"{name}.npz"
        assert main(["embed", str(model), str(tmp_path / name), "--out", str(out)]) == 0
        found[name] = embedded(out)
        np.testing.assert_allclose(
            found[name]["embedding"], graphs.expected(pictures(7)), rtol=1e-4, atol=1e-4
        )
    assert found["list.csv"]["subject"].tolist() == [f"who{k}" for k in range(7)]
    assert found["list.csv"]["team"].tolist() == list("abababa")
    assert "subject" not in found["list.txt"]


def test_a_stopped_command_goes_on_where_it_was(model, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stream, "PART", 2)
    images, out = open_images(str(folder)), tmp_path / "emb.npz"
    read, wanted = images.read, []

    def once(row):
        if row == 5:
            raise MemoryError  # as a kill would, it stops everything
        return read(row)

    stopped = images.__class__(**{**vars(images), "read": once})
    with pytest.raises(MemoryError):
        stream.run_over(load(model), stopped, out, batch_size=2, threads=1)
    kept = sorted(p.name for p in stream.parts_folder(out).glob("*.npz"))
    assert kept == ["000000000-2.npz", "000000002-2.npz"]

    def counted(row):
        wanted.append(row)
        return read(row)

    again = images.__class__(**{**vars(images), "read": counted})
    said = []
    outcome = stream.run_over(
        load(model),
        again,
        out,
        batch_size=2,
        progress=stream.Progress(len(images), said.append),
    )
    assert sorted(wanted) == [4, 5, 6, 7]
    assert said == ["Resuming: 4 of 8 images are done."]
    order = [int(name.split("/")[1][0]) for name in images.names[outcome.rows].tolist()]
    np.testing.assert_allclose(
        outcome.columns["embedding"], graphs.expected(pictures(7))[order], rtol=1e-4, atol=1e-4
    )
    other = load(graphs.embedder(tmp_path / "other.onnx", graphs.weights(9)))
    with pytest.raises(ModelError, match="made with another model"):
        stream.run_over(other, images, out, batch_size=2)


def test_a_written_file_is_complete_for_its_own_model_alone(model, folder, tmp_path, capsys):
    line = ["embed", str(model), str(folder), "--out", str(tmp_path / "emb.npz")]
    assert main(line) == 0
    before = (tmp_path / "emb.npz").read_bytes()
    assert main(line) == 0
    assert "is complete" in capsys.readouterr().out
    assert main([*line, "--flip", "sum"]) == 1
    assert "another flip" in capsys.readouterr().err
    assert (tmp_path / "emb.npz").read_bytes() == before
    np.savez(tmp_path / "mine.npz", x=np.zeros(3))
    assert main([*line[:-1], str(tmp_path / "mine.npz")]) == 1
    assert "not written by this command" in capsys.readouterr().err


def failed(capsys, *line):
    assert main([str(word) for word in line]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("fairjax: ")
    return said[-1]


def test_what_cannot_be_done_is_one_line(model, folder, tmp_path, capsys):
    out = tmp_path / "emb.npz"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no image file" in failed(capsys, "embed", model, empty, "--out", out)
    assert "no such file or folder" in failed(capsys, "embed", model, "absent", "--out", out)
    assert "no benchmark 'mfw'" in failed(capsys, "embed", model, "mfw:x", "--out", out)
    assert "is one image" in failed(capsys, "embed", model, folder / "p0/0.png", "--out", out)
    assert "does not exist; make it" in failed(
        capsys, "embed", model, folder, "--out", tmp_path / "no" / "emb.npz"
    )
    assert "is a folder" in failed(capsys, "embed", model, folder, "--out", folder)
    assert "written as .npz" in failed(capsys, "embed", model, folder, "--out", "x.csv")
    assert "predicts no attribute" in failed(
        capsys, "predict", model, folder, "--out", tmp_path / "t.csv"
    )
    (folder / "p0" / "9.png").write_bytes(png(pictures(1, size=9)[0]))
    assert "p0/9.png is 9 x 9 and m.onnx takes 8 x 8" in failed(
        capsys, "embed", model, folder, "--out", out
    )
    for path in folder.rglob("*.png"):
        path.write_bytes(b"x")
    assert "none of the 9 images can be read" in failed(
        capsys, "embed", model, folder, "--out", tmp_path / "none.npz"
    )


def test_a_list_says_what_is_wrong_with_it(tmp_path):
    for name, text, words in (
        ("a.txt", "\n", "names no image"),
        ("b.txt", "x.jpg\nx.jpg\n", "x.jpg is listed twice"),
        ("c.csv", "who,team\na,b\n", "no column of images"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=words):
            open_images(str(tmp_path / name))


def test_resizing_is_a_triangle_filter():
    image = np.zeros((1, 8, 3), np.uint8)
    image[0, :4] = 240
    # Halving averages 2 source pixels' worth with weights 1 3 3 1 over 8.
    row = np.array([240.0] * 4 + [0.0] * 4)
    expected = []
    for k in range(4):
        centre = 2 * k + 0.5
        weight = np.maximum(0, 1 - np.abs(np.arange(8) - centre) / 2)
        expected.append((weight * row).sum() / weight.sum())
    np.testing.assert_array_equal(resize(image, height=1, width=4)[0, :, 0], np.rint(expected))
    same = pictures(1)[0]
    assert resize(same, height=SIZE, width=SIZE) is same


def test_pictures_are_decoded_upright_and_in_colour():
    pixels = np.arange(120, dtype=np.uint8).reshape(10, 12)
    grey = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter
    stored = io.BytesIO()
    grey.save(stored, "PNG", exif=exif)
    found = decode(stored.getvalue())
    assert found.shape == (12, 10, 3)
    np.testing.assert_array_equal(found[..., 0], np.rot90(pixels, -1))


@pytest.mark.parametrize(("size", "said"), [((7, 9), "too few pixels"), ((9, 80), "too long")])
def test_what_training_would_not_take_for_a_face_is_not_embedded(size, said):
    stored = io.BytesIO()
    Image.new("L", size).save(stored, "PNG")
    with pytest.raises(ValueError, match=said):
        decode(stored.getvalue())


def test_progress_says_how_long_it_takes(monkeypatch):
    clock = iter([0.0, 0.0, 5.0, 20.0])
    monkeypatch.setattr(stream.time, "monotonic", lambda: next(clock))
    said = []
    progress = stream.Progress(1000, said.append)
    for done in (0, 50, 200):
        progress(done)
    assert said == ["200 of 1,000 images, 10 a second, 1:20 left"]


def test_what_a_graph_does_not_say_is_told_by_flags(folder, tmp_path):
    (folder / "p1" / "bad.jpg").unlink()
    graph = graphs.embedder(tmp_path / "nhwc.onnx", layout="NHWC")
    out = tmp_path / "emb.npz"
    line = ["embed", str(graph), str(folder), "--out", str(out), "--layout", "NHWC"]
    told = ["--mean", "0", "--std", "255", "--output", "out", "--threads", "1"]
    assert main([*line, *told]) == 0
    np.testing.assert_allclose(
        embedded(out)["embedding"],
        graphs.expected(pictures(7), mean=0, std=255),
        rtol=1e-4,
        atol=1e-4,
    )
    assert main([*line, "--output", "none"]) == 1


def test_images_of_another_size_are_resized_only_where_that_is_asked(model, tmp_path, capsys):
    photos = tmp_path / "large"
    photos.mkdir()
    flat = np.full((2 * SIZE, 2 * SIZE, 3), 77, np.uint8)  # of one colour, whatever the filter
    (photos / "a.png").write_bytes(png(flat))
    line = ["embed", str(model), str(photos), "--out", str(tmp_path / "emb.npz")]
    assert main(line) == 1
    assert "--resize" in capsys.readouterr().err
    assert main([*line, "--resize"]) == 0
    np.testing.assert_allclose(
        embedded(tmp_path / "emb.npz")["embedding"],
        graphs.expected(flat[None, :SIZE, :SIZE]),
        rtol=1e-4,
        atol=1e-4,
    )
