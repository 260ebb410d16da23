"""`fairjax calibrate`: change a system's scores, without training, so that groups differ less."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli import values
from fairjax.cli.answers import console
from fairjax.cli.table_flags import (
    add_columns,
    add_pairs,
    check_one_system,
    people_of,
    table_options_of,
)


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    calibrate = verbs.add_parser(
        "calibrate",
        help="normalise or calibrate scores by group, cluster or embedding, without training",
        description="Mitigation after training: a method is fitted on one table of pairs (or on "
        "embeddings), saved, and applied to pairs of other people. `fairjax audit before after "
        "--paired` then says what changed.",
        epilog="Example: fairjax calibrate split scores.csv --out parts/ && fairjax calibrate fit "
        "parts/fit.csv --method group_norm --out norm.json && fairjax calibrate apply norm.json "
        "parts/use.csv --out after.csv && fairjax audit parts/use.csv after.csv --paired",
    )
    kinds = calibrate.add_subparsers(metavar="WHAT", dest="calibrating", required=True)
    listing = kinds.add_parser("list", help="list the methods, and whether they need group labels")
    listing.set_defaults(run=_list)
    split = kinds.add_parser(
        "split",
        help="split a table into two without a common person",
        description="Deals people out within their groups; pairs with one person of each part are "
        "left out. Writes DIR/fit.csv and DIR/use.csv.",
    )
    split.add_argument("table", metavar="FILE", type=Path, help="scored pairs")
    split.add_argument("--out", metavar="DIR", type=Path, required=True, help="where to write")
    split.add_argument(
        "--share", type=float, default=0.5, help="share of the people in fit.csv (default: 0.5)"
    )
    split.add_argument("--seed", type=values.natural, default=0, help="of the dealing (default: 0)")
    split.set_defaults(run=_split, embedding="", scorer="")
    add_columns(split.add_argument_group("columns and groups"))
    fit = kinds.add_parser("fit", help="fit a method on a table of pairs or on embeddings")
    fit.add_argument("table", metavar="FILE", type=Path, help="scored pairs, or embeddings")
    fit.add_argument("--method", required=True, help="one of `fairjax calibrate list`")
    fit.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting of the method: fmr=1e-3, clusters=50, kappa=amber:40,jade:60; repeat",
    )
    fit.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help=".json or .safetensors"
    )
    fit.set_defaults(run=_fit)
    use = kinds.add_parser("apply", help="apply a fitted method to pairs of other people")
    use.add_argument("fitted", metavar="FITTED", type=Path, help="what `fit` wrote")
    use.add_argument("table", metavar="FILE", type=Path, help="scored pairs, or embeddings")
    use.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="the same pairs with new scores (.csv, .parquet), or new embeddings (.npz)",
    )
    use.add_argument(
        "--before",
        metavar="FILE",
        type=Path,
        help="also write the pairs with the old scores, where embeddings were given",
    )
    use.set_defaults(run=_apply)
    for verb in (fit, use):
        verb.add_argument(
            "--seed", type=values.natural, default=0, help="of --sample-pairs (default: 0)"
        )
        add_columns(verb.add_argument_group("columns and groups"))
        add_pairs(verb.add_argument_group("pairs of embeddings"))


def _list(arguments: argparse.Namespace) -> None:
    from fairjax.audit.calibrated import LIST
    from fairjax.report import print_tables

    print_tables([LIST], console())


def _split(arguments: argparse.Namespace) -> None:
    from fairjax.audit.calibrated import split_people, write_table
    from fairjax.audit.tables import InputError, read_columns
    from fairjax.core.errors import UsageError

    if not 0 < arguments.share < 1:
        raise UsageError(f"--share {arguments.share:g} must be between 0 and 1, as 0.5.")
    loaded, system = _load(arguments)
    if not loaded.has_subjects:
        raise InputError(f"{arguments.table} does not say who is on its pairs; use --subject.")
    columns = read_columns(arguments.table)
    if len(columns[next(iter(columns))]) != len(loaded):
        raise InputError(f"{arguments.table}: some rows were left out; take them out first.")
    parts = split_people(loaded, share=arguments.share, seed=arguments.seed)
    for name, rows in zip(("fit", "use"), parts, strict=True):
        path = arguments.out / f"{name}.csv"
        write_table(path, {key: column.take(rows) for key, column in columns.items()})
        print(f"{path}: {len(rows):,} pairs")
    lost = len(loaded) - sum(map(len, parts))
    print(f"{lost:,} pairs of one person of each part are left out.")


def _fit(arguments: argparse.Namespace) -> None:
    from fairjax.audit import calibrated
    from fairjax.core.errors import UsageError
    from fairjax.postprocess import METHODS, stored

    try:
        values_by_name = dict(values.key_value(text) for text in arguments.set)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--set {error}.") from error
    settings = calibrated.settings_of(arguments.method, values_by_name)
    if arguments.out.suffix not in (".json", ".safetensors"):
        raise UsageError(f"--out {arguments.out}: it must end in .json or .safetensors.")
    loaded, system = _load(arguments)
    fitted = calibrated.fit(loaded, system, arguments.method, settings, source=arguments.table)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    stored.save(arguments.out, fitted)
    method = METHODS[arguments.method]
    print(
        f"{arguments.out}: {method.title}, fitted on {len(loaded):,} pairs of "
        f"{len(fitted.people):,} people. Group labels are needed: {method.groups}."
    )


def _apply(arguments: argparse.Namespace) -> None:
    from fairjax.audit import calibrated
    from fairjax.audit.tables import InputError
    from fairjax.core.errors import UsageError
    from fairjax.postprocess import stored

    try:
        fitted = stored.load(arguments.fitted)
    except ValueError as error:
        raise InputError(str(error)) from error
    loaded, system = _load(arguments, by=fitted.by)
    applied = calibrated.apply(fitted, loaded, system, source=arguments.table.name)
    table = None if loaded.pairs is not None else arguments.table
    if applied.embedding is not None:
        calibrated.write_embeddings(
            arguments.out, arguments.table, loaded, system, applied.embedding
        )
    else:
        assert applied.score is not None
        calibrated.write_scores(arguments.out, table, loaded, system, applied.score)
    if arguments.before:
        if loaded.pairs is None:
            raise UsageError("--before is for embeddings; a table of scores is its own before.")
        calibrated.write_scores(arguments.before, None, loaded, system, loaded.scores[system])
    for sentence in applied.sentences:
        print(sentence)
    print(f"Written: {arguments.out}")


def _load(arguments: argparse.Namespace, by: str = "") -> Any:
    """The pairs of one system by one attribute, and the system's name."""
    from fairjax.audit.embeddings import load_embeddings
    from fairjax.audit.pairs import load_comparisons
    from fairjax.audit.tables import InputError
    from fairjax.core.errors import UsageError

    if by and not arguments.by:
        arguments.by = [by]
    options, people = table_options_of(arguments), people_of(arguments)
    check_one_system(options, "calibration is")
    path = arguments.table
    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    paired = vars(arguments)
    if any(paired.get(key) for key in ("pairs", "all_pairs", "sample_pairs")):
        loaded = load_embeddings(
            {path.stem: path},
            options,
            people=people,
            pairs=arguments.pairs,
            sample=arguments.sample_pairs,
            seed=arguments.seed,
        )
    elif path.suffix in (".npz", ".npy"):
        raise UsageError("embeddings need --pairs TABLE, --all-pairs or --sample-pairs N.")
    else:
        loaded = load_comparisons(path, options, people=people)
    pairs = next(iter(loaded.values()))
    return pairs, next(iter(pairs.scores))
