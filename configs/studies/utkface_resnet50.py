"""The UTKFace study's baseline over folds: are its gaps between races more than chance?

Source: the UTKFace study with ResNet-50, TFC and masked autoencoders, Table 1: age MAE 4.84 years,
  gender accuracy 91 %, race accuracy 81 %. It states no claim about this network alone, so nothing
  is tested but the gaps, whose p-values are adjusted for their number.
Runs: configs/utkface/resnet50.py on three of five folds, no image being tested twice; seeds=5 tests
  every image once.
Run: python -m fairjax.main --config configs/studies/utkface_resnet50.py:small \
  --workdir runs/resnet50 --config.data.root=DIR
  Has not been run at this size; docs/results has one split of 16 epochs.
Reduced: :small, 64 pixels, 28 epochs, about 2.9 hours of two cores.
Smoke test: :smoke, one seed on generated faces.
"""

from pathlib import Path

from ml_collections import ConfigDict

from fairjax.config import Column, Row, Study, load, parse_arg, study

RUNS = Path(__file__).parents[1] / "utkface"
RATES = ("gender FPR", "gender FNR", "age FPR", "age FNR")
PUBLISHED = {"Age MAE": 4.84, "Gender accuracy": 91.0, "Race accuracy": 81.0}


def get_config(arg: str = "") -> ConfigDict:
    """Arguments: small, smoke, seed=0 (the first fold), seeds=3 (folds)."""
    options = parse_arg(arg, small=False, smoke=False, seed=0, seeds=3)
    size = "small" if options.small else "smoke" if options.smoke else ""
    config = load(f"{RUNS / 'resnet50.py'}:{size}")
    config.seed = options.seed
    if not options.smoke:
        config.data.split.update(folds=5, ratio=(0.7, 0.1, 0.2))
    if options.small:
        config.train.epochs = 28.0
    attribute = config.eval.protocol.group_by
    columns = [
        Column("Age MAE", "age_mae"),
        Column("Gender accuracy", "gender_accuracy"),
        Column("Race accuracy", f"{attribute}_accuracy"),
    ]
    for rate in RATES:
        measure = rate.replace(" ", "_").lower()
        columns.append(Column(f"Mean {rate}", f"{measure}_mean", across=attribute))
        columns.append(Column(f"Gap {rate}", f"{measure}_difference", across=attribute))
    published = {} if options.smoke else PUBLISHED
    plan = Study(
        title="Age, gender and race by a ResNet-50 on UTKFace",
        source="the UTKFace study, Table 1" if published else "",
        rows=(Row("ResNet-50", published=published),),
        columns=tuple(columns),
        seeds=tuple(range(options.seed, options.seed + (1 if options.smoke else options.seeds))),
        folds=not options.smoke,
        notes=(
            "False positives and negatives of gender (positive: female) and of age (positive: 30 "
            "years or more, by the predicted age); Mean and Gap (largest minus smallest) run over "
            "the groups, unweighted. Gaps beside their noise floors, with adjusted p-values, are "
            "in the protocol's own tables below.",
        ),
    )
    return study(config, plan)
