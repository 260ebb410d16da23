from pathlib import Path

import pytest

from fairjax.data.formats import cache


def test_what_was_saved_is_loaded_under_its_own_name_only():
    cache.save("looks-1", "abc", [1, {"a": None}])
    assert cache.load("looks-1", "abc") == [1, {"a": None}]
    assert cache.load("looks-2", "abc") is None
    assert cache.load("looks-1", "abd") is None


@pytest.mark.parametrize("content", ["", "[1,", "\udcff"])
def test_what_is_damaged_is_nothing(tmp_path, content):
    cache.save("looks-1", "abc", [1])
    (kept,) = (tmp_path / "cache" / "fairjax").iterdir()
    kept.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert cache.load("looks-1", "abc") is None


@pytest.mark.parametrize("base", ["relative", "{file}"])
def test_a_place_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch, base):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", base.format(file=tmp_path / "file"))
    cache.save("looks-1", "abc", [1])
    assert cache.load("looks-1", "abc") is None
    assert [path.name for path in Path().iterdir()] == ["file"]
