"""A fitted method survives its file, and damaged files are refused in one line."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from fairjax.postprocess.stored import Fitted, digest, digests, load, save

FITTED = Fitted(
    "group_norm",
    {"fmr": 0.1},
    "race",
    ("a", "b"),
    digests(["ann", "ben"]),
    {"mean": np.array([0.1, np.nan]), "std": np.array([[1.0], [2.0]])},
    {"name": "fit.csv", "hash": "sha256:0"},
)


@pytest.mark.parametrize("name", ["fitted.json", "fitted.safetensors"])
def test_what_is_saved_is_loaded(tmp_path, name):
    save(tmp_path / name, FITTED)
    again = load(tmp_path / name)
    for key, array in FITTED.arrays.items():
        np.testing.assert_array_equal(again.arrays[key], array)
    assert replace(again, arrays={}) == replace(FITTED, arrays={})
    assert again.method.title.startswith("z-normalisation")


def test_no_name_is_written(tmp_path):
    save(tmp_path / "fitted.json", FITTED)
    text = (tmp_path / "fitted.json").read_text()
    assert "ann" not in text and digest("ann") in text and len(digest("ann")) == 16


def damaged(**changes):
    head = {"format": "fairjax.postprocess/1", "method": "platt", "settings": {}, "by": "race"}
    head |= {"groups": ["a"], "people": [], "source": {}, "arrays": {"slope": [1.0]}}
    return {key: value for key, value in {**head, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (damaged(format="other"), "its format is 'other'"),
        (damaged(method="magic"), "there is no method 'magic'"),
        (damaged(arrays=None), "'arrays'"),
        (damaged(arrays={"slope": ["x"]}), "could not convert"),
        ([], "not a fitted method"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / "fitted.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "fitted.safetensors").write_bytes(b"no tensors at all")
    with pytest.raises(ValueError, match="not a fitted method"):
        load(tmp_path / "fitted.safetensors")
    with pytest.raises(ValueError, match=r"is a \.json or \.safetensors file"):
        save(tmp_path / "fitted.pkl", FITTED)
