"""What each fairness method for attributes buys and costs, on UTKFace.

Source: none of its own; docs/methods names each method's.
Runs, for each of five folds, so that every image is tested once: the ResNet baseline of
  configs/utkface/resnet50.py; on the same network Group-DRO, adversarial removal, reweighting,
  penalties on the gaps in demographic parity and in equalised odds, and Fair Mixup; the TFC network
  and a ViT that was pre-trained as a masked autoencoder, both trained with labels alone from there.
  Groups are races.
Data: UTKFace, aligned and cropped.
Run: python -m fairjax.main --config configs/studies/utkface_methods.py:small \
  --workdir runs/utkface_methods --config.data.root=DIR
  Has not been run at this size.
Reduced: :small, 64 pixels, narrow networks. Smoke test: :smoke, one seed and three methods on
  generated faces.
"""

from pathlib import Path

from ml_collections import ConfigDict

from fairjax.config import Claim, Column, Row, Study, load, parse_arg, study

RUNS = Path(__file__).parents[1] / "utkface"
BASELINE = "ResNet"
# For each row the method, and its settings besides the defaults.
METHODS = {
    "Group-DRO": ("group_dro", {}),
    "Adversarial removal": ("adversarial_removal", {}),
    "Reweighting": ("reweighting", {}),
    "Parity penalty": ("gap_penalty", {"criterion": "demographic_parity"}),
    "Odds penalty": ("gap_penalty", {"criterion": "equalised_odds"}),
    "Fair Mixup": ("fair_mixup", {}),
}
SMOKE = ("Group-DRO", "Fair Mixup")
RATES = ("gender FPR", "gender FNR")


def get_config(arg: str = "") -> ConfigDict:
    """Arguments: small, smoke, seed=0 (the first fold), seeds=5 (folds)."""
    options = parse_arg(arg, small=False, smoke=False, seed=0, seeds=5)
    size = "small" if options.small else "smoke" if options.smoke else ""
    config = load(f"{RUNS / 'resnet50.py'}:{size}")
    config.seed = options.seed
    config.eval.published = ""
    if not options.smoke:
        config.data.split.update(folds=5, ratio=(0.7, 0.1, 0.2))
    if options.small:
        config.backbone.update(depth=18, width=16)
    attribute = config.eval.protocol.group_by
    rows = [Row(BASELINE)]
    for name, (method, settings) in METHODS.items():
        if name in SMOKE or not options.smoke:
            own = load(f"{RUNS / 'resnet50.py'}:{size},method={method}").method
            own.update(settings)
            rows.append(Row(name, {"method": own}))
    if not options.smoke:
        rows += _other_networks(size)
    names = [row.name for row in rows if row.shown]
    columns = [Column("Gender accuracy", "gender_accuracy"), Column("Age MAE", "age_mae")]
    for rate in RATES:
        measure = rate.replace(" ", "_").lower()
        columns.append(Column(f"Mean {rate}", f"{measure}_mean", across=attribute))
        columns.append(Column(f"Gap {rate}", f"{measure}_difference", across=attribute))
    claims = [
        Claim(text.format(name), name, BASELINE, column, direction, family=family)
        for family, text, column, direction in (
            ("accuracy", "{} tells genders better.", "Gender accuracy", "higher"),
            *(
                (f"gap {rate}", f"{{}} narrows the gap in {rate}.", f"Gap {rate}", "lower")
                for rate in RATES
            ),
        )
        for name in names
        if name != BASELINE
    ]
    needing = {*METHODS}
    plan = Study(
        title="Attribute models on UTKFace: accuracy, gaps and cost",
        source="",
        rows=tuple(rows),
        columns=tuple(columns),
        claims=tuple(claims),
        seeds=tuple(range(options.seed, options.seed + (1 if options.smoke else options.seeds))),
        resamples=4 if options.smoke else 200,
        folds=not options.smoke,
        trade_off=("Gender accuracy", f"Gap {RATES[0]}"),
        baseline=BASELINE,
        facts={name: {"needs group labels": "yes" if name in needing else "no"} for name in names},
        notes=(
            "False positives and negatives of gender (positive: female); Mean and Gap (largest "
            "minus smallest) run over the groups, unweighted.",
            "Rows on the ResNet share everything but the method, whose settings are its defaults; "
            "none was tuned here. TFC and the ViT have their own network, and the ViT its own "
            "pre-training, which costs more than the time of a step says.",
            "Claims are adjusted within each family: all rows against the ResNet in one column.",
        ),
    )
    return study(config, plan)


def _other_networks(size: str) -> list[Row]:
    """TFC, and a ViT after the pre-training of a masked autoencoder, with the ResNet's heads."""
    autoencoder = load(f"{RUNS / 'mae.py'}:{size}")
    pretraining = {
        **{key: autoencoder[key] for key in ("backbone", "method", "optim", "train")},
        "eval.protocol": autoencoder.eval.protocol,
    }
    tfc = load(f"{RUNS / 'tfc.py'}:{size},target=attributes").backbone
    return [
        Row("TFC", {"backbone": tfc}),
        Row("pre-training, MAE", pretraining, shown=False),
        Row("MAE", {"backbone": autoencoder.backbone}, needs={"init.run": "pre-training, MAE"}),
    ]
