"""`fairjax similarity` on two folders as runs leave them."""

import json

import numpy as np
import pytest

from fairjax.cli import main
from fairjax.core.results import load_results

ATTRIBUTE = {"values": ["A", "B"], "low": 0, "high": 1, "unit": "", "assigned_by": "nobody"}


def folder(path, seed, *, features=True):
    path.mkdir()
    rng, n = np.random.default_rng(seed), 80
    columns = {
        "id": np.arange(n).astype(str),
        "cluster": np.arange(n),
        "race": np.arange(n) % 2,
        **({"features": rng.normal(size=(n, 3))} if features else {}),
    }
    np.savez(path / "predictions.npz", **columns)
    protocol = {"name": "utkface", "group_by": "race", "level": 0.9}
    (path / "config.json").write_text(json.dumps({"eval": {"protocol": protocol}}))
    (path / "data.json").write_text(json.dumps({"hash": "0", "attributes": {"race": ATTRIBUTE}}))
    return str(path)


def test_a_run_beside_itself_is_alike_in_every_group(tmp_path, capsys):
    one = folder(tmp_path / "one", 0)
    assert main(["similarity", one, one, "--out", str(tmp_path / "cka.json")]) == 0
    assert "Similarity of one and one" in capsys.readouterr().out
    results = load_results(tmp_path / "cka.json")
    np.testing.assert_allclose([m.value for m in results.measures], 1.0)
    assert [m.level for m in results.measures] == [0.9] * 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["one", "bare"], "bare saved no features; train it with"),
        (["one", "one", "--by", "hair"], "'hair' must be a classified attribute: one of race"),
        (["one", "nowhere"], "predictions.npz is missing"),
    ],
)
def test_what_cannot_be_compared_is_one_line(tmp_path, capsys, arguments, said):
    folder(tmp_path / "one", 0)
    folder(tmp_path / "bare", 1, features=False)
    runs = [str(tmp_path / name) for name in arguments[:2]]
    assert main(["similarity", *runs, *arguments[2:]]) == 1
    assert said in capsys.readouterr().err
