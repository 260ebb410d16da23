"""Settings that a method refuses before any image is read, each in one line."""

import inspect

import pytest
from grouped_example import TARGETS, TASKS, Stage, preprocess

from fairjax.losses import MARGINS
from fairjax.methods import METHODS
from fairjax.models.gac import GacNet
from fairjax.models.iresnet import IResNet

BACKBONES = {"gac": GacNet(depth=10, width=4, dim=8), "mixfairface": IResNet(depth=18)}
REFUSED = [
    ("fair_mixup", {"group": "race"}, "needs the group of each training image"),
    (
        "fair_mixup",
        {"criterion": "parity"},
        "criterion='parity' is not known; known: demographic_parity",
    ),
    ("fair_mixup", {"weight": -1.0}, "weight=-1.0 must be 0 or more"),
    ("fair_mixup", {"beta": 0.0}, "beta=0.0 must be above 0"),
    ("fair_mixup", {"task": "age"}, "task='age' is no classifying task; tasks: gender, age"),
    ("gap_penalty", {"group": "race"}, "needs the group of each training image"),
    (
        "gap_penalty",
        {"criterion": "parity"},
        "criterion='parity' is not known; known: demographic_parity",
    ),
    ("gap_penalty", {"weight": -1.0}, "weight=-1.0 must be 0 or more"),
    ("gap_penalty", {"task": "age"}, "task='age' is no classifying task; tasks: gender, age"),
    ("gap_penalty", {"task": "race"}, "task='race' is no classifying task"),
    ("group_dro", {"group": "age"}, "needs the group of each training image"),
    ("group_dro", {"step": 0.0}, r"step=0.0 must be above 0, such as 0.01"),
    ("reweighting", {"group": "race"}, "needs the group of each training image"),
    ("reweighting", {"task": "age"}, "task='age' is no classifying task; tasks: gender"),
    ("adversarial_removal", {"group": "race"}, "needs the group of each training image"),
    ("adversarial_removal", {"strength": -1.0}, "strength=-1.0 must be 0 or more"),
    ("adversarial_removal", {"ramp_epochs": -1.0}, "ramp_epochs=-1.0 must be 0 or more"),
    ("debface", {"attributes": ("race",)}, "needs the group of each training image"),
    ("debface", {"attributes": ("identity",)}, "must name one attribute or more, not the label"),
    ("debface", {"attributes": ()}, "must name one attribute or more"),
    ("debface", {"adversary_weight": -1.0}, "adversary_weight=-1.0 must be 0 or more"),
    ("debface", {"tta": "mean"}, "tta='mean' is not known"),
    ("gabn", {"group": "race"}, "needs the group of each training image"),
    ("gabn", {"reference": "D"}, "reference='D' is no group; it has: A, B, C"),
    ("gabn", {"adversary_weight": -1.0}, "adversary_weight=-1.0 must be 0 or more"),
    ("gabn", {"adversary_ramp_epochs": -1.0}, "adversary_ramp_epochs=-1.0 must be 0 or more"),
    ("gabn", {"erase_regions": -1}, "erase_regions=-1 must be 0 or more"),
    ("gabn", {"erase_after_epochs": -1.0}, "erase_after_epochs=-1.0 must be 0 or more"),
    ("gabn", {"adversary": "none"}, "adversary='none' is not known; known: reversal, uniform, to_"),
    ("gabn", {"attention": "map"}, "attention='map' is not known; known: gradcam, abs_grad, grad"),
    ("gabn", {"erase_where": "face"}, "erase_where='face' is not known; known: input, map"),
    ("gabn", {"tta": "mean"}, "tta='mean' is not known"),
    ("descon", {"group": "race"}, "needs the group of each training image"),
    ("descon", {"negatives": "wg"}, "negatives='wg' is not known; known: all, within_group, hard"),
    ("descon", {"hard_count": 0}, "hard_count=0 must be 1 or more"),
    ("descon", {"temperature": 0.0}, "temperature=0.0 must be above 0"),
    ("descon", {"weight": -1.0}, "weight=-1.0 must be 0 or more"),
    ("uss", {"partners": "class"}, "partners='class' is not known; known: batch, memory"),
    ("uss", {"weight": -1.0}, "weight=-1.0 must be 0 or more"),
    ("uss", {"pair_margin": 3.0}, r"pair_margin=3.0 must be in \[0, 2\]"),
    ("uss", {"start_epochs": -1.0}, "start_epochs=-1.0 must be 0 or more"),
    ("uss", {"pair_scale": 0.0}, "pair_scale=0.0 must be above 0"),
    ("uss", {"label": "age"}, "names 0 classes"),
    ("ic_ffr", {"fpr_weight": -0.5}, "fpr_weight=-0.5 must be 0 or more"),
    ("ic_ffr", {"tpr_weight": -1.0}, "tpr_weight=-1.0 must be 0 or more"),
    ("ic_ffr", {"tpr_at_fpr": 1.0}, r"tpr_at_fpr=1.0 must be in \(0, 1\)"),
    ("ic_ffr", {"gamma_u": 1.5}, "gamma_u=1.5 must be 0"),
    (
        "labelless_face",
        {"margin": MARGINS["magface"]()},
        "margin.name must be 'cosface' or 'arcface'",
    ),
    ("labelless_face", {"gamma": 0.0}, "gamma=0.0 must be above 0"),
    ("labelless_face", {"favoured_factor": 2.0}, r"favoured_factor=2.0 must be in \[0, 1\]"),
    ("labelless_face", {"label": "age"}, "names 0 classes"),
    ("rl_rbn", {"group": "race"}, "needs the group of each training image"),
    ("rl_rbn", {"reference": "D"}, "reference='D' is no group; they are: A, B, C"),
    ("rl_rbn", {"margin": MARGINS["magface"]()}, "margin.name must be 'cosface' or 'arcface'"),
    ("rl_rbn", {"highest": 0.3}, "margin.margin=0.35 must lie between"),
    ("rl_rbn", {"every_epochs": 0}, "every_epochs=0 must be 1 or more"),
    ("rl_rbn", {"policy": "missing.json"}, "policy='missing.json' is no table of margins"),
    ("invreg", {"partition_epochs": ()}, r"partition_epochs=\(\) must be one epoch or more"),
    ("invreg", {"partition_epochs": (3, 1)}, "must be one epoch or more, rising"),
    ("invreg", {"partition_epochs": (0, 1)}, "rising, from 1 on"),
    ("invreg", {"environments": 1}, "environments=1 must be 2 or more"),
    ("invreg", {"weight": -1.0}, "weight=-1.0 must be 0 or more"),
    ("invreg", {"penalty": "l2"}, "penalty='l2' is not known; known: tface, paper, none"),
    ("invreg", {"growth": 0.0}, "growth=0.0 must be above 0"),
    ("invreg", {"learning_epochs": 0}, "learning_epochs=0 must be 1 or more"),
    ("invreg", {"learning_batch": 1}, "learning_batch=1 must be 2 or more"),
    ("invreg", {"temperature": 0.0}, "temperature=0.0 must be above 0"),
    ("invreg", {"label": "age"}, "names 0 classes"),
    ("gac", {"group": "race"}, "needs the group of each training image"),
    ("gac", {"backbone": Stage()}, "name='gac' needs config.backbone.name='gac'"),
    ("gac", {"group_from": "image"}, "group_from='image' is not known; known: label, classifier"),
    ("gac", {"fusion": "always"}, "fusion='always' is not known; known: off, resync, permanent"),
    ("gac", {"first_check": 0}, "first_check=0 must be 1 or more"),
    ("gac", {"check_every": 0}, "check_every=0 must be 1 or more"),
    ("gac", {"tau": 2.0}, r"tau=2.0 must be in \[-1, 1\]"),
    ("gac", {"tta": "concat"}, "tta='concat' is not known; known: sum, none"),
    ("mixfairface", {"backbone": Stage()}, "needs config.backbone.name='iresnet'"),
    ("mixfairface", {"backbone": IResNet(depth=18), "label": "age"}, "names 0 classes"),
]


@pytest.mark.parametrize(("name", "settings", "message"), REFUSED)
def test_wrong_settings_are_one_line(name, settings, message):
    build = METHODS[name]
    tasks = {"tasks": TASKS} if "tasks" in inspect.signature(build).parameters else {}
    supplied = {"backbone": BACKBONES.get(name, Stage()), "targets": TARGETS}
    with pytest.raises(ValueError, match=message) as error:
        build(**{**supplied, "preprocess": preprocess, **tasks, **settings})
    assert "\n" not in str(error.value)
