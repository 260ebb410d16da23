import csv
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from flags_example import EVERY, VALUES

from fairjax import cli
from fairjax.audit.prediction_tables import PredictionColumns
from fairjax.audit.request import Request
from fairjax.audit.run import FMRS
from fairjax.cli import audit_inputs, embed
from fairjax.core.errors import UsageError


def arguments_of(*words):
    """What the flags of `fairjax audit` are read as."""
    return cli._parser(["audit"]).parse_args(["audit", *words])


@pytest.mark.parametrize(
    ("words", "fmrs", "thresholds"),
    [
        ([], FMRS, []),
        (["--threshold", "0.3"], (), [0.3]),
        (["--decision", "verdict"], (), []),
        (["--threshold", "0.3", "--fmr", "0.1,0.01"], (0.1, 0.01), [0.3]),
    ],
)
def test_default_rates_are_measured_where_nothing_else_is_an_operating_point(
    words, fmrs, thresholds
):
    settings = audit_inputs.request_of(arguments_of("t.csv", *words)).settings
    assert (settings.fmrs, settings.thresholds) == (fmrs, thresholds)


def test_predictions_are_audited_where_a_label_is_named():
    assert audit_inputs.request_of(arguments_of("t.csv")).predictions is None
    words = ["--label", "truth", "--no-answer", "no face,none", "--classes", "f,m"]
    columns = audit_inputs.request_of(arguments_of("t.csv", *words)).predictions
    assert (columns.label, columns.prediction, columns.probability) == ("truth", "", "")
    assert (columns.no_answer, columns.classes) == (("no face", "none"), ("f", "m"))


def test_facts_tolerances_and_coverage_reach_the_request():
    words = ["--stated", "model=v3", "--tolerance", "2", "--tolerance", "fnmr_difference=0.1"]
    request = audit_inputs.request_of(arguments_of("t.csv", *words), limits=["made up"])
    assert request.stated == {"model": "v3"} and request.dataset == ""
    assert request.settings.tolerances == {
        "fmr_max_over_min": 2.0,
        "fnmr_max_over_min": 2.0,
        "fnmr_difference": 0.1,
    }
    assert request.settings.level == 0.95 and request.settings.limits == ["made up"]
    assert audit_inputs.request_of(arguments_of("--demo")).dataset == "phantom"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "m.onnx"], "--model, --data and --out go together"),
        (["--model", "m.onnx", "--data", "lfw:x"], "--model, --data and --out go together"),
        (["--data", "lfw:x", "--out", "out"], "--model, --data and --out go together"),
        (["t.csv", "--model", "m", "--data", "d", "--out", "out"], "leave FILE out"),
        (["--model", "m", "--data", ".", "--out", "out"], "is no benchmark with pairs of its own"),
    ],
)
def test_a_model_needs_its_images_and_a_folder_alone(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        audit_inputs.write_embeddings(arguments_of(*words))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("made", "words", "protocol"),
    [
        ("rfw", [], "rfw"),
        ("rfw", ["--protocol", "plain"], "plain"),
        ("a folder of mine", [], None),
    ],
)
def test_a_models_benchmark_is_the_default_protocol(tmp_path, monkeypatch, made, words, protocol):
    calls = []

    def write(arguments):
        calls.append(arguments)
        arguments.out.touch()

    monkeypatch.setattr(embed, "write", write)
    monkeypatch.setattr("fairjax.audit.embedding_files.read_made", lambda path: {"protocol": made})
    out = tmp_path / "new"
    line = ["--model", "m.onnx", "--data", "rfw:x", "--out", str(out), "--size", "112x96"]
    arguments = arguments_of(*line, *words)
    assert audit_inputs.write_embeddings(arguments) == out / "embeddings.npz"
    assert arguments.protocol == protocol
    (embedded,) = calls
    assert (embedded.size, embedded.images, embedded.flip) == ((112, 96), "rfw:x", "")


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("gap", "FMR 0.03 and FNMR 0.08 for jade"),
        ("fair", "there is no gap"),
        ("picture", "pictures"),
    ],
)
def test_a_demonstration_says_what_was_planted(tmp_path, kind, limit):
    arguments = arguments_of("--demo", kind, "--seed", "3")
    limits = audit_inputs.write_demo(arguments, tmp_path / "new")
    assert any(limit in sentence for sentence in limits)
    assert arguments.files == [tmp_path / "new" / "comparisons.csv"]
    with arguments.files[0].open() as file:
        rows = list(csv.DictReader(file))
    assert {"subject1", "group2", "score"} <= set(rows[0]) and len(rows) > 1000
    assert np.isfinite([float(row["score"]) for row in rows]).all()
    images = tmp_path / "new" / "images.csv"
    assert images.exists() is (kind == "picture")
    assert arguments.covariates == (images if kind == "picture" else None)


def flat(request, prefix=""):
    """Every choice by its dotted name."""
    choices = {}
    for field in fields(request):
        value = getattr(request, field.name)
        if is_dataclass(value) and not isinstance(value, PredictionColumns):
            choices |= flat(value, f"{prefix}{field.name}.")
        else:
            choices[prefix + field.name] = value
    return choices


def request_of(*words):
    return flat(audit_inputs.request_of(arguments_of("t.csv", *words)))


FLAGS = [
    (["--fmr", "0.1,0.2"], "settings.fmrs", (0.1, 0.2)),
    (["--fmr", "0.1", "--threshold", "0.5"], "settings.thresholds", [0.5]),
    (["--protocol", "lfw"], "settings.protocol", "lfw"),
    (["--tolerance", "fmr_gini=0.1"], "settings.tolerances", {"fmr_gini": 0.1}),
    (["--bootstrap", "7"], "settings.resamples", 7),
    (["--level", "0.8"], "settings.level", 0.8),
    (["--seed", "5"], "settings.seed", 5),
    (["--paired"], "settings.paired", True),
    (["--groups", "g.csv"], "groups", Path("g.csv")),
    (["--groups-subject", "who"], "groups_subject", "who"),
    (["--groups-image", "shot"], "groups_image", "shot"),
    (["--pairs", "p.csv"], "pairs", Path("p.csv")),
    (["--all-pairs"], "all_pairs", True),
    (["--sample-pairs", "9"], "sample_pairs", 9),
    (["--calibrate-on", "c.csv"], "calibrate_on", Path("c.csv")),
    (["--covariates", "i.csv"], "covariates", Path("i.csv")),
    (["--covariate", "blur", "--covariate", "pose"], "hold", ["blur", "pose"]),
    (["--stream"], "stream", True),
    (["--stated", "a=1", "--stated", "b=2"], "stated", {"a": "1", "b": "2"}),
    (["--demo", "fair"], "dataset", "phantom"),
]
FLAGS += [
    ([*words, *([] if name != "accept" else EVERY["decision"])], f"options.{name}", value)
    for name, words in EVERY.items()
    if name != "decision"
    for value in [VALUES.get(name, True)]
]


@pytest.mark.parametrize(("words", "choice", "value"), FLAGS)
def test_a_flag_changes_one_choice(words, choice, value):
    beside = {"settings.thresholds": ["--fmr", "0.1"], "options.accept": EVERY["decision"]}
    usual, changed = request_of(*beside.get(choice, [])), request_of(*words)
    assert changed[choice] == value != usual[choice]
    own = {"command"}  # of this process
    assert {name for name in usual if changed[name] != usual[name]} - own == {choice}


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--prediction", "said"], "prediction", "said"),
        (["--probability", "p"], "probability", "p"),
        (["--positive", "f"], "positive", "f"),
        (["--classes", "f, m"], "classes", ("f", "m")),
        (["--classes"], "classes", ("",)),
        (["--no-answer", "none,no face"], "no_answer", ("none", "no face")),
        (["--regression"], "regression", True),
    ],
)
def test_a_flag_changes_one_column_of_predictions(words, field, value):
    usual = request_of("--label", "truth")["predictions"]
    changed = request_of("--label", "truth", *words)["predictions"]
    assert usual == PredictionColumns("truth")
    differs = [f.name for f in fields(usual) if getattr(usual, f.name) != getattr(changed, f.name)]
    assert differs == [field] and getattr(changed, field) == value


def test_without_a_flag_the_request_is_the_usual_one():
    usual, plain = request_of(), flat(Request(files=[Path("t.csv")]))
    plain |= {"settings.protocol": None}  # until the model's benchmark is known
    for name, value in plain.items():
        if name not in ("command", "options.scores"):
            assert usual[name] == value or (not usual[name] and not value), name
