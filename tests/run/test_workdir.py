import json
from collections import namedtuple

import pytest

from fairjax.run import workdir
from fairjax.run.workdir import (
    WorkdirError,
    claim,
    environment,
    folder_that_stays,
    in_use,
    read_json,
    settle_config,
    settle_data,
    write_json,
)


def test_a_folder_is_claimed_by_one_at_a_time(tmp_path):
    with (
        claim(tmp_path / "run"),
        pytest.raises(WorkdirError, match="in use by another run"),
        claim(tmp_path / "run"),
    ):
        pass
    with claim(tmp_path / "run"):
        pass


def test_a_nearly_full_disk_is_said_before_work_is_done(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(workdir.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5, 5))
    with pytest.raises(WorkdirError, match="only 0 MiB free; make room"), claim(tmp_path):
        pass


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert read_json(path) == {"x": 1}


def test_a_missing_or_broken_file_is_said(tmp_path):
    with pytest.raises(WorkdirError, match="is missing; is .* the folder of a run"):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text('{"a": ')
    with pytest.raises(WorkdirError, match="not valid JSON"):
        read_json(tmp_path / "config.json")


def test_many_changed_keys_are_counted(tmp_path):
    settle_config(tmp_path, {f"k{i}": 0 for i in range(8)})
    write_json(tmp_path / "data.json", {})
    with pytest.raises(WorkdirError, match="k0: 0 -> 1; .*; and 3 more"):
        settle_config(tmp_path, {f"k{i}": 1 for i in range(8)})


def test_a_run_that_was_refused_before_it_began_does_not_bind_the_next(tmp_path):
    settle_config(tmp_path, {"seed": 0})
    settle_config(tmp_path, {"seed": 1})
    assert read_json(tmp_path / "config.json") == {"seed": 1}


def test_keys_that_change_no_number_may_change(tmp_path):
    settle_config(tmp_path, {"data": {"root": "a"}, "seed": 0})
    settle_config(tmp_path, {"data": {"root": "b"}, "seed": 0})
    assert read_json(tmp_path / "config.json")["data"]["root"] == "b"


def test_a_run_is_measured_anew_with_other_settings_of_the_evaluation(tmp_path):
    before = {"seed": 0, "eval": {"weights": "last", "protocol": {"name": "x", "resamples": 0}}}
    after = {"seed": 0, "eval": {"weights": "last", "protocol": {"name": "x", "resamples": 20}}}
    settle_config(tmp_path, before)
    write_json(tmp_path / "data.json", {"hash": "0", "attributes": {}})
    settle_config(tmp_path, after)
    assert read_json(tmp_path / "config.json") == after
    other = {"seed": 0, "eval": {"weights": "best", "protocol": after["eval"]["protocol"]}}
    with pytest.raises(WorkdirError, match="eval.weights: 'last' -> 'best'"):
        settle_config(tmp_path, other)


def test_who_holds_a_folder_can_be_asked(tmp_path):
    assert not in_use(tmp_path)
    with claim(tmp_path):
        assert in_use(tmp_path)
    assert not in_use(tmp_path)


def test_the_environment_names_versions_and_is_json():
    told = environment({"platform": "cpu"})
    assert json.loads(json.dumps(told))["packages"]["jax"] != "absent"
    assert told["packages"]["tensorflow"] != "absent", "tensorflow-cpu counts"


def finished(folder, root):
    """A finished run's files, as far as settling reads them."""
    settle_config(folder, {"seed": 0, "data": {"root": root}})
    for name in ("data.json", "outcome.json"):
        write_json(folder / name, {"hash": "old", "splits_hash": "s", "attributes": {}})
    (folder / "predictions.npz").write_bytes(b"")


def test_a_finished_run_is_not_taken_for_one_on_other_data_and_nothing_is_rewritten(tmp_path):
    finished(tmp_path, "a")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    settle_config(tmp_path, {"seed": 0, "data": {"root": "a"}})
    with pytest.raises(WorkdirError, match="a finished run on config.data.root='a', and 'b'"):
        settle_config(tmp_path, {"seed": 0, "data": {"root": "b"}})
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_run_goes_on_without_bad_images_where_their_hash_is_given(tmp_path):
    now = {"hash": "newhash", "splits_hash": "t", "attributes": {}}
    settle_data(tmp_path, {"hash": "old", "splits_hash": "s", "attributes": {}})
    with pytest.raises(WorkdirError, match="go on with --changed_data=newhash"):
        settle_data(tmp_path, now)
    with pytest.raises(WorkdirError, match="holds a run on other data"):
        settle_data(tmp_path, now, accepted="other")
    settle_data(tmp_path, now, accepted="newh")
    settle_data(tmp_path, now)  # the next start needs no flag
    assert read_json(tmp_path / "data.json")["hashes_before"] == ["old"]


def test_a_folder_that_is_gone_under_way_is_one_line(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match="NOT_FOUND"), folder_that_stays(folder):
        raise ValueError("NOT_FOUND: a library's")  # the folder is there: another fault
    (folder / "checkpoints").rmdir()
    with pytest.raises(WorkdirError, match="checkpoints is gone"), folder_that_stays(folder):
        raise ValueError("NOT_FOUND: a library's")
    folder.rmdir()
    words = "run is gone: .* another --workdir"
    with pytest.raises(WorkdirError, match=words), folder_that_stays(folder):
        raise OSError("a file")
    with pytest.raises(WorkdirError, match="named before"), folder_that_stays(folder):
        raise WorkdirError("named before")
