"""A study of seconds for the tests: a run, and one that goes on from its weights."""

from pathlib import Path

from ml_collections import ConfigDict

from fairjax.config import Claim, Column, Row, Study, Thesis, load, study


def get_config(arg: str = "") -> ConfigDict:
    """Argument: broken, for a row that cannot be trained."""
    config = load(str(Path(__file__).with_name("tiny.py")))
    config.train.update(epochs=0.4, batch_size=16)
    config.method.save_features = True
    rows = (
        Row("Base", published={"Accuracy": 71.0}),
        Row(
            "Goes on",
            {"init.part": "all", "optim.peak_lr": 1e-6},
            needs={"init.run": "Base"},
            published={"Accuracy": 70.0},
        ),
        *([Row("Broken", {"optim.peak_lr": 1e30, "train.epochs": 3.0})] if arg == "broken" else []),
        *([Row("After it", needs={"init.run": "Broken"})] if arg == "broken" else []),
    )
    return study(
        config,
        Study(
            title="Going on",
            source="nobody",
            rows=rows,
            columns=(
                Column("Accuracy", "gender_accuracy"),
                Column("MAE", "age_mae"),
                Column("Std", "gender_accuracy_std", across="group"),
            ),
            claims=(
                Claim("Going on lowers the error", "Goes on", "Base", "MAE", "lower"),
                Claim("Going on raises accuracy", "Goes on", "Base", "Accuracy", "higher"),
            ),
            thesis=Thesis(
                "Going on is better.",
                ("Going on raises accuracy",),
                (),
                holds="It is.",
                contradicted="It is not.",
                inconclusive="Nobody knows.",
            ),
            similar=(("Base", "Goes on"),),
            seeds=(0,),
            resamples=20,
            notes=("Nothing follows from it.",),
        ),
    )
