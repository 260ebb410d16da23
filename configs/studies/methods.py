"""What each recognition method buys and costs: all of them on one data set, with one budget.

Source: none of its own; docs/methods names each method's.
Runs, for each seed: every method of configs/recognition/margin.py on the same people, network,
  optimiser and epochs; GAC and DebFace on the network that they need. RL-RBN needs a policy, which
  `fairjax margins` learns: give policy=FILE, else it is left out. PFE is not in it: it is a second
  stage on a frozen network, with scores of its own.
Data: people=phantom, generated people of whom one group's, in training and in the test, look alike,
  so that its false positive rate is higher in truth; people=tree, a tree of people with pairs a
  group (FAIRJAX_DATA holds faces_id.tar, faces_id.csv and faces_id_pairs/).
Run: python -m fairjax.main --config configs/studies/methods.py --workdir runs/methods
  Has not been run at this size.
Smoke test: :smoke, one seed and three methods on generated faces.
"""

from pathlib import Path

from ml_collections import ConfigDict

from fairjax.config import Claim, Column, ConfigError, Row, Study, load, parse_arg, study

HERE = Path(__file__).parent
MARGIN = HERE.parent / "recognition" / "margin.py"
BASELINE = "CosFace"
# The name in margin.py, and whether the method needs group labels in training.
METHODS = {
    BASELINE: ("cosface", False),
    "ArcFace": ("arcface", False),
    "FPR penalty (paper)": ("fpr_penalty", False),
    "FPR penalty (release)": ("fpr_tface", False),
    "IC-FFR": ("ic_ffr", False),
    "MixFairFace": ("mixfairface", False),
    "USS": ("uss", False),
    "LabellessFace-style": ("labelless_face", False),
    "InvReg": ("invreg", False),
    "GABN-style": ("gabn", True),
    "GAC": ("gac", True),
    "DebFace": ("debface", True),
    "DeSCon": ("descon", True),
    "RL-RBN-style": ("rl_rbn", True),
}
SMOKE = (BASELINE, "LabellessFace-style", "DeSCon")
AT = ("FMR 1e-1", "FMR 1e-2")


def get_config(arg: str = "") -> ConfigDict:
    """Arguments: smoke, people=phantom (or tree), seed=0 (the first), seeds=3, policy=FILE."""
    options = parse_arg(arg, smoke=False, people="phantom", seed=0, seeds=3, policy="")
    if options.people not in ("phantom", "tree"):
        raise ConfigError(f"people={options.people!r} is not known; known: phantom, tree.")
    size = "smoke" if options.smoke else "small"
    words = "smoke" if options.smoke else f"people={options.people}"
    config = load(f"{HERE / 'fpr_consistency.py'}:{words}")  # its data, so that tables compare
    config.seed = options.seed
    at = AT[:1] if options.smoke else AT
    names = [name for name in METHODS if name in SMOKE or not options.smoke]
    if not options.policy:
        names = [name for name in names if name != "RL-RBN-style"]
    rows = [_row(name, size, options.policy) for name in names]
    columns = [
        Column("Accuracy", "accuracy_mean", across="group"),
        Column("Std", "accuracy_std", across="group"),
        *(Column(f"FPR spread, {where}", "fmr_std", across="group", at=where) for where in at),
        *(Column(f"FNR, {where}", "fnmr", at=where) for where in at),
    ]
    columns += [
        Column(f"{where}, {rate}", "fmr_bias_degree", across=across, at=f"{rate} of all pairs")
        for rate in ("FMR 1e-2", "FMR 1e-3")
        for where, across in (("Groups", "group"), ("People", "person"))
        if not options.smoke
    ]
    spreads = [column.title for column in columns if column.title.startswith("FPR spread")]
    claims = [
        Claim(text.format(name), name, BASELINE, column, direction, family=family)
        for family, text, column, direction in (
            ("accuracy", "{} is more accurate than CosFace.", "Accuracy", "higher"),
            ("std", "{} spreads accuracy less over groups.", "Std", "lower"),
            *(
                (spread, f"{{}} spreads FPR less over groups at {spread[12:]}.", spread, "lower")
                for spread in spreads
            ),
        )
        for name in names
        if name != BASELINE
    ]
    plan = Study(
        title="Face recognition methods: accuracy, spread and cost",
        source="",
        rows=tuple(rows),
        columns=tuple(columns),
        claims=tuple(claims),
        seeds=tuple(range(options.seed, options.seed + (1 if options.smoke else options.seeds))),
        resamples=4 if options.smoke else 200,
        trade_off=("Accuracy", spreads[0]),
        baseline=BASELINE,
        facts={name: {"needs group labels": "yes" if METHODS[name][1] else "no"} for name in names},
        notes=(
            "Accuracy in ten folds, each group with thresholds of its own; accuracy and Std (ddof "
            "1) run over the groups, unweighted. FPR spread is the standard deviation of the "
            "groups' FPR at one threshold for all, where the FPR over the list's pairs is the one "
            "named.",
            "Groups and People: the standard deviation over groups, or over people, of their FPR "
            "over all pairs of the test's images, divided by the FPR over everyone there. They are "
            "not tested, as resamples of people do not change them.",
            "All rows share data, optimiser, epochs and seeds; settings of the methods are their "
            "defaults, and none was tuned here. GAC and DebFace have a network of their own.",
            "Claims are adjusted within each family: all methods against CosFace in one column.",
        ),
    )
    return study(config, plan)


def _row(name: str, size: str, policy: str) -> Row:
    """A row of the study."""
    own = load(f"{MARGIN}:{size},method={METHODS[name][0]}")
    together = own.input.images_per_identity
    changes = {
        "method": own.method,
        "backbone": own.backbone,
        "input.images_per_identity": min(together, 4),  # as many as phantom people have
    }
    if policy and METHODS[name][0] == "rl_rbn":
        changes["method.policy"] = policy
    return Row(name, changes)
