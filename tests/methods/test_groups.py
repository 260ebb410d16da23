from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from every_entry import tiny_dataset
from grouped_example import TARGETS, Stage, make_batch, preprocess

from fairjax.config import task
from fairjax.methods import METHODS
from fairjax.methods.groups import group_scalars, require_groups
from fairjax.models.gac import GacNet
from fairjax.run.prepare import targets_of

# Methods that need the group of each training image, on a backbone that they accept.
IN_GROUPS = {
    "adversarial_removal": Stage(),
    "debface": Stage(),
    "gabn": Stage(),
    "gac": GacNet(depth=18, width=4, dim=8),
    "gap_penalty": Stage(),
    "group_dro": Stage(),
    "reweighting": Stage(),
}
OF_TASKS = ("adversarial_removal", "gap_penalty", "group_dro", "reweighting")


def build(name, targets):
    tasks = {"gender": dict(task("classes", "gender"))}
    settings = {"tasks": tasks} if name in OF_TASKS else {}
    return METHODS[name](
        backbone=IN_GROUPS[name], targets=targets, preprocess=preprocess, **settings
    )


@pytest.mark.parametrize("name", IN_GROUPS)
@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (None, "this method needs the group of each training image, and this dataset has no"),
        ((0, 0, 0), "and no training image has one; give the dataset a table of groups"),
        ((5, 0, 3), "the training split has no image of B; this method needs images of every"),
    ],
)
def test_groups_that_are_missing_are_one_line(name, counts, said):
    targets = {key: target for key, target in TARGETS.items() if key != "group"}
    if counts is not None:
        targets["group"] = replace(TARGETS["group"], counts=counts)
    with pytest.raises(ValueError, match=said) as error:
        build(name, targets)
    assert "\n" not in str(error.value)


def test_groups_that_are_all_there_are_taken():
    targets = {"group": replace(TARGETS["group"], counts=(1, 2, 3))}
    assert require_groups(targets, "group") == ("A", "B", "C")
    with pytest.raises(ValueError, match="has one value; two are needed"):
        require_groups({"group": replace(TARGETS["group"], values=("A",))}, "group")


def test_an_absent_group_has_a_count_of_zero_in_the_log():
    batch = make_batch()
    group = jnp.where(batch["group"] == 1, -1, batch["group"])
    values = jnp.arange(12.0)
    logged = group_scalars("x", values, group, batch["mask"], ("A", "B", "C"))
    assert logged["x_B"] == (0, 0)
    assert logged["x_A"] == (0 + 1 + 6 + 7, 4)  # people 0 and 1 stand in rows 0, 1, 6, 7


def test_counts_are_those_of_the_training_split():
    dataset = tiny_dataset()
    train = dataset.splits["train"]
    group = np.array([0, 0, 2, -1, 0, 2, 2, 2], np.int32)
    train = replace(train, labels={**train.labels, "group": group})
    targets = targets_of(replace(dataset, splits={**dataset.splits, "train": train}))
    assert targets["group"].counts == (3, 0, 4)
    assert targets["age"].counts == ()
