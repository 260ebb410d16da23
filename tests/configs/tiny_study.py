"""A study of seconds for the tests: two rates, and a run that starts from another's."""

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
        Row("Slow", {"optim.peak_lr": 1e-6}, published={"Accuracy": 70.0}),
        Row("Goes on", {"init.part": "all"}, needs={"init.run": "Base"}),
        *([Row("Broken", {"optim.peak_lr": 1e30, "train.epochs": 3.0})] if arg == "broken" else []),
        *([Row("After it", needs={"init.run": "Broken"})] if arg == "broken" else []),
    )
    return study(
        config,
        Study(
            title="Rates",
            source="nobody",
            rows=rows,
            columns=(
                Column("Accuracy", "gender_accuracy"),
                Column("MAE", "age_mae"),
                Column("Std", "gender_accuracy_std", across="group"),
            ),
            claims=(
                Claim("Going on lowers the error", "Goes on", "Slow", "MAE", "lower"),
                Claim("A slow rate raises accuracy", "Slow", "Base", "Accuracy", "higher"),
            ),
            thesis=Thesis(
                "A slow rate is better.",
                ("A slow rate raises accuracy",),
                (),
                holds="It is.",
                contradicted="It is not.",
                inconclusive="Nobody knows.",
            ),
            similar=(("Base", "Slow"),),
            seeds=(0,),
            resamples=20,
            notes=("Nothing follows from it.",),
        ),
    )
