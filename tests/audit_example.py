"""Frames of scored pairs and of predictions, for the tests of `fairjax.audit(...)`."""

import numpy as np
import pandas
from scored_pairs import scored_pairs

PAIRS = {"fmr": 0.05, "n_boot": 20}
LABELS = {
    "y_true": "gender",
    "y_score": "p_female",
    "pos_label": "female",
    "sensitive_features": "race",
    "n_boot": 20,
}


def pairs_frame() -> pandas.DataFrame:
    """Scored pairs as columns of a frame."""
    made = scored_pairs(("a", "b"), people=15, pairs=60, cross=20)
    names = np.array([f"p{k}" for k in range(30)])
    return pandas.DataFrame(
        {
            "subject1": names[made.subject[:, 0]],
            "subject2": names[made.subject[:, 1]],
            "group1": np.array(made.groups)[made.group[:, 0]],
            "group2": np.array(made.groups)[made.group[:, 1]],
            "score": made.score,
        }
    )


def predictions_frame() -> pandas.DataFrame:
    """An attribute model's predictions of people in two groups."""
    rng = np.random.default_rng(0)
    gender = np.array(["female", "male"])[rng.integers(2, size=200)]
    chance = np.clip(rng.normal(np.where(gender == "female", 0.65, 0.35), 0.2), 0, 1)
    return pandas.DataFrame(
        {
            "file": [f"{k}.jpg" for k in range(200)],
            "gender": gender,
            "p_female": chance,
            "race": np.array(["Asian", "Black"])[rng.integers(2, size=200)],
            "said": np.where(chance > 0.5, "female", "male"),
        }
    )
