import os
import pickle
import zipfile

import numpy as np
import pytest

from fairjax.interop import read_tensors, write_tensors

TENSORS = {"a.weight": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2])}


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_what_is_written_comes_back(tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    write_tensors(path, {**TENSORS, "turned": TENSORS["a.weight"].T})
    found = read_tensors(path)
    np.testing.assert_array_equal(found["turned"], TENSORS["a.weight"].T)
    np.testing.assert_array_equal(found["b"], [1, 2])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_tensors_of_torch_come_out_of_its_checkpoints(tmp_path):
    torch = pytest.importorskip("torch")
    weight = torch.arange(24.0).reshape(4, 6)
    state = {
        "plain": weight,
        "turned": weight.T,
        "part": weight[1:3, 2:4],
        "half": weight.half(),
        "brain": weight.bfloat16(),
        "number": torch.tensor(3),
        "parameter": torch.nn.Parameter(weight),
    }
    torch.save({"model": state, "epoch": 3}, tmp_path / "weights.pth")
    found = read_tensors(tmp_path / "weights.pth")
    assert set(found) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.detach().float().numpy())


def torch_like(path, pickled):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", np.arange(4, dtype="<f4").tobytes())


class Evil:
    def __reduce__(self):
        return os.system, ("touch was_here",)


def test_a_checkpoint_that_asks_for_code_is_refused_and_runs_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch_like(tmp_path / "evil.pth", pickle.dumps({"model": Evil()}))
    with pytest.raises(ValueError, match=r"evil.pth: it asks for \w+.system, .* refused"):
        read_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "was_here").exists()


def pickled_tensor(size, stride, *, offset=0, storage=4):
    """{"a": a tensor}, opcode by opcode as torch.save writes it, so that no torch is needed."""

    def text(word):
        return b"X" + len(word).to_bytes(4, "little") + word.encode()

    def numbers(values):
        return b"(" + b"".join(b"K" + bytes([n]) for n in values) + b"t"

    place = text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    place = b"(" + place + b"K" + bytes([storage]) + b"tQ"
    rest = b"K" + bytes([offset]) + numbers(size) + numbers(stride) + b"\x89}"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + place + rest + b"tR"
    return b"\x80\x02}" + text("a") + tensor + b"s."


def test_a_tensor_is_rebuilt_without_torch(tmp_path):
    torch_like(tmp_path / "weights.pth", pickled_tensor((2, 2), (1, 2)))
    np.testing.assert_array_equal(
        read_tensors(tmp_path / "weights.pth")["a"], [[0.0, 2.0], [1.0, 3.0]]
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (dict(size=(2, 3), stride=(3, 1)), "reaches outside its storage"),
        (dict(size=(2,), stride=(1,), offset=3), "reaches outside its storage"),
        (dict(size=(2,), stride=(1,), storage=9), "has 4 of 9 numbers"),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path, wrong, said):
    torch_like(tmp_path / "weights.pth", pickled_tensor(**wrong))
    with pytest.raises(ValueError, match=said):
        read_tensors(tmp_path / "weights.pth")


@pytest.mark.parametrize(("content", "said"), [(b"PK no zip", "torch.save since"), (b"", "torch")])
def test_a_damaged_file_is_told_by_name(tmp_path, content, said):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(ValueError, match=f"weights.pth: .*{said}"):
        read_tensors(tmp_path / "weights.pth")


def test_other_files_and_missing_ones_are_refused(tmp_path):
    with pytest.raises(ValueError, match="come as .safetensors"):
        read_tensors(tmp_path / "weights.txt")
    with pytest.raises(ValueError, match="no such file"):
        read_tensors(tmp_path / "weights.npz")
    with pytest.raises(ValueError, match="written as"):
        write_tensors(tmp_path / "weights.pth", TENSORS)
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    with pytest.raises(ValueError, match="cut.safetensors: damaged"):
        read_tensors(tmp_path / "cut.safetensors")
