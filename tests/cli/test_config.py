import pytest

from fairjax import cli
from fairjax.config import describe, find_file, keys, load, shipped, split_argument


def test_a_shipped_config_goes_by_its_name_with_or_without_folder_and_suffix():
    file = str(shipped() / "utkface" / "resnet50.py")
    for name in ("utkface/resnet50", "utkface/resnet50.py", "configs/utkface/resnet50.py"):
        assert find_file(f"{name}:small") in (f"{file}:small", f"{name}:small")
        assert load(f"{name}:small").train.epochs == 16


def test_a_file_in_the_present_folder_comes_before_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_file("quickstart.py:smoke") == f"{shipped() / 'quickstart.py'}:smoke"
    (tmp_path / "quickstart.py").write_text("def get_config(arg): ...")
    assert find_file("quickstart.py:smoke") == "quickstart.py:smoke"


@pytest.mark.parametrize(
    ("text", "file", "arg"),
    [
        ("a.py", "a.py", ""),
        ("a.py:small,seed=3", "a.py", "small,seed=3"),
        (r"C:\runs\a.py:small", r"C:\runs\a.py", "small"),
        ("c:/runs/a.py", "c:/runs/a.py", ""),
        ("a:small", "a", "small"),
    ],
)
def test_the_argument_of_a_config_comes_after_the_colon_that_is_no_drive(text, file, arg):
    assert split_argument(text)[::2] == (file, arg)


@pytest.mark.parametrize("name", ["", ":smoke", "nothing", "../configs/quickstart", "/quickstart"])
def test_what_is_no_shipped_config_stays_as_it_came(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_file(name) == name


def test_the_page_of_a_config_has_its_words_its_arguments_and_every_key(capsys):
    assert cli.main(["config", "quickstart:smoke"]) == 0
    out = capsys.readouterr().out
    assert "Quick start: a small ResNet" in out
    assert "smoke (three steps), seed=0" in out
    config = load("quickstart:smoke")
    lines = {line.split()[0]: line for line in out.splitlines() if line.split()}
    assert all(key in lines for key in keys(config))
    assert lines["train.batch_size"].split()[1] == "16"
    assert load("quickstart").train.batch_size == 64


def test_the_page_of_a_study_names_its_rows(capsys):
    assert cli.main(["config", "studies/utkface_masking:smoke"]) == 0
    out = capsys.readouterr().out
    assert "A study of" in out
    for row in load("studies/utkface_masking:smoke").study.rows:
        assert row.name in out


def test_without_a_file_every_shipped_config_is_listed(capsys):
    assert cli.main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list(shipped().rglob("*.py")))
    assert any(line.startswith("utkface/resnet50 ") for line in lines)


def test_a_config_that_is_not_there_is_one_line_with_the_nearest(capsys):
    assert cli.main(["config", "quikstart"]) == 2
    error = capsys.readouterr().err
    assert "did you mean 'quickstart'?" in error and error.count("\n") == 1


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("fairjax 0.")


@pytest.mark.parametrize("name", ["quickstart", "recognition/margin", "utkface/mae", "utkface/tfc"])
def test_every_key_of_a_config_has_a_meaning(name):
    config = load(name)
    meanings = describe(config)
    assert [key for key in keys(config) if not meanings.get(key)] == []


def test_a_meaning_is_that_of_the_thing_that_the_config_names():
    config = load("recognition/margin")
    assert describe(config)["train.epochs"] == "How long to train."
    assert describe(config)["method.margin.name"].startswith("One of adaface, arcface")
    assert "cosine" in describe(config)["method.margin.margin"]
    assert "epochs" in describe(config)["optim.schedule.at_epochs"].lower()
