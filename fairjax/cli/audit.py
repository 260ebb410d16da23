"""`fairjax audit`: somebody's scores, embeddings or predictions, and how errors differ by group."""

import argparse
import math
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairjax.cli import answers
from fairjax.core.errors import UsageError

_LEVEL = 0.95  # coverage of intervals, where none is asked for
_OF_MERGE = ("merge", "out", "tables", "title")  # options that go together
_UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # in the name of a folder, on some system
_DESCRIPTION = """\
Measures how the errors of a face system differ between groups of people, and how sure that is.

FILE is one of
  a table of scored pairs (.csv, .tsv, .parquet, .jsonl, .xlsx), one pair per row:
      image1,image2,subject1,subject2,group1,group2,score
      a_1.jpg,a_2.jpg,anna,anna,Asian,Asian,0.71
      a_1.jpg,b_1.jpg,anna,ben,Asian,Black,0.12
    Needed are a score, the person on each side (or a column 'same' of 1 and 0), and the groups of
    both sides (or --groups TABLE). Without persons, intervals are too narrow; the report says so.
  embeddings (.npz with 'embedding', 'id' and optionally 'subject' and groups; .npy; or a table),
    with --pairs TABLE, --all-pairs or --sample-pairs N. Several files are several systems.
  predictions of an attribute model, with --label: a table with one image per row, the true label,
    --prediction or --probability, and a column of groups.

Columns with customary names are found. For other names:
  --subject who          means who1 and who2 (or who_1, who_2; who_a, who_b; probe_who, gallery_who)
  --subject left,right   names the two columns
  --by race              also accepts one column 'race' for both sides
Larger scores mean more alike; use --distance for the opposite. Rows are counted from 1, below the
header. Names are compared in one Unicode form without blanks around them; nan, None, null and <NA>
mean unknown. docs/audit_inputs.md shows every form with an example.
"""
_EPILOG = """\
examples:
  fairjax audit --demo --out demo/
  fairjax audit scores.csv --out audit/
  fairjax audit scores.csv --score ours --score theirs --groups people.csv --by race
  fairjax audit scores.csv --groups people.csv --by race --by race+gender --out audit/
  fairjax audit scores.csv --distance d --kind l2 --threshold 1.1 --by race
  fairjax audit attempts.csv --failures --by age:18,30,45,60 --groups people.csv
  fairjax audit decisions.csv --decision verdict --accept match --by race
  fairjax audit scores.csv --covariates images.csv --groups people.csv --by race
  fairjax audit scores.csv --threshold 0.31 --tolerance fmr_max_over_min=2 --out audit/
  fairjax audit before.csv after.csv --paired --by race
  fairjax audit ours.npz theirs.npz --pairs pairs.csv --groups images.csv --protocol rfw
  fairjax audit part-7.csv --partial --out partials/7
  fairjax audit --merge partials/* --out audit/
  fairjax audit --model vendor.onnx --data rfw:DIR --out audit/
  fairjax audit predictions.csv --label gender --prediction said --positive female --by race

The verdict is printed; --tables prints every table before it. Without --out nothing is written.
With it DIR gets results.json (every number with its provenance), report.html, model_card.md,
measures.csv and one CSV a table; with several --by, one folder each.

exit codes: 0 the audit was made, whatever it found; 1 an input can't be used, and one line says
why; 2 the command line is wrong; 3 with --self-test: the audit failed its own test.
"""


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    audit = verbs.add_parser(
        "audit",
        help="measure how errors differ between groups, from scores, embeddings or predictions",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    audit.add_argument(
        "files", metavar="FILE", type=Path, nargs="*", help="table or embeddings, see above"
    )
    audit.add_argument(
        "--out", metavar="DIR", type=Path, help="write the results and the report to this folder"
    )
    audit.add_argument("--tables", action="store_true", help="print every table before the verdict")
    audit.add_argument("--title", default="", help="title of the report (default: FILE's name)")
    add_columns(audit.add_argument_group("columns and groups"))
    add_pairs(audit.add_argument_group("pairs of embeddings"))
    _add_covariates(audit.add_argument_group("is it the group or the picture?"))
    _add_predictions(audit.add_argument_group("attribute models"))
    _add_measuring(audit.add_argument_group("what is measured"))
    _add_model(audit.add_argument_group("a model and its images, in one line"))
    _add_partial(audit.add_argument_group("tables in many files, on many machines"))
    trial = audit.add_argument_group("try it")
    trial.add_argument(
        "--demo",
        nargs="?",
        const="gap",
        choices=["gap", "fair", "picture"],
        help="audit made-up scores with a known gap, with none (fair), or with a gap that comes "
        "from blurred pictures (picture); with --out the table is left in DIR/comparisons.csv, and "
        "with picture the covariates in DIR/images.csv",
    )
    trial.add_argument(
        "--self-test",
        metavar="REPEATS",
        nargs="?",
        const=100,
        type=_positive,
        help="check the audit itself: REPEATS audits of made-up scores with a planted gap and "
        "REPEATS without one; prints how often the gap is found and how often a false one is "
        "claimed (default: 100)",
    )
    audit.set_defaults(run=_audit)


def _add_model(group: Any) -> None:
    from fairjax.cli.embed import add_input

    group.add_argument(
        "--model",
        metavar="MODEL",
        type=Path,
        help="embed with this run or .onnx first; see fairjax embed --help",
    )
    group.add_argument(
        "--data", metavar="IMAGES", help="what it embeds: rfw:DIR, bfw:DIR, lfw:DIR or phantom:"
    )
    group.add_argument(
        "--flip", choices=["none", "sum", "concat"], default="", help="of the mirror image"
    )
    group.add_argument(
        "--landmarks", metavar="TABLE", default="", help="align the images by five points first"
    )
    add_input(group)


def _add_partial(group: Any) -> None:
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--partial",
        action="store_true",
        help="write what a later --merge needs of these tables to DIR/partial.npz, instead of an "
        "audit; one process or machine per table or several. It holds names of people and scores "
        "of pairs",
    )
    which.add_argument(
        "--merge",
        metavar="PARTIAL",
        type=Path,
        nargs="+",
        default=[],
        help="audit the tables behind these folders of --partial, as one process would with "
        "--stream; takes --out, --tables and --title, for all else was said with --partial",
    )
    group.add_argument(
        "--keep",
        metavar="SHARE",
        type=_share,
        help="with --partial: share of the non-mated pairs, the largest scores first, that are "
        "kept one by one, so that thresholds are exact (default: 64 times the largest --fmr, and "
        "at least 65,536 pairs). A merge that needs more says how many",
    )


def add_columns(group: Any) -> None:
    """Adds the options that name columns, groups and the kind of score."""
    from fairjax.audit.kinds import KINDS

    group.add_argument(
        "--score",
        metavar="COLUMN",
        action="append",
        default=[],
        help="column of scores, larger = more alike; repeat for several systems",
    )
    group.add_argument(
        "--distance",
        metavar="COLUMN",
        action="append",
        default=[],
        help="column of distances, smaller = more alike; thresholds are then distances, too",
    )
    group.add_argument(
        "--kind",
        choices=list(KINDS),
        default="",
        help="what the scores are; their range is then checked, and scores that can be turned into "
        "cosines get the accuracies that need cosines",
    )
    group.add_argument(
        "--decision",
        metavar="COLUMN",
        default="",
        help="column of decisions, instead of scores; --accept says which words accept a pair",
    )
    group.add_argument(
        "--accept",
        metavar="WORDS",
        type=_listed,
        default=(),
        help="words in the --decision column that accept a pair, comma-separated, such as match",
    )
    group.add_argument(
        "--failures",
        action="store_true",
        help="count a blank score (or NaN) as a failure to acquire or enrol; failures are counted "
        "by group, and error rates are given with and without such pairs",
    )
    group.add_argument(
        "--failure-score",
        metavar="SCORE",
        type=_score,
        action="append",
        default=[],
        help="a score that stands for such a failure, such as -1 or error; repeat for several",
    )
    group.add_argument(
        "--mated",
        metavar="COLUMN",
        default="",
        help="column of 1 where both sides show the same person, else 0",
    )
    group.add_argument(
        "--zero-is-same",
        action="store_true",
        help="the --mated column has 0 for the same person and 1 for two persons",
    )
    group.add_argument(
        "--subject",
        metavar="NAME",
        default="",
        help="columns of the person on each side, see above",
    )
    group.add_argument(
        "--names-as-written",
        action="store_true",
        help="take names literally: names that differ only by case, blanks, accents, quotes, "
        "leading zeros or Unicode form are different people, and None, NA or unknown may be "
        "a name",
    )
    group.add_argument(
        "--image", metavar="NAME", default="", help="columns of the image on each side"
    )
    group.add_argument(
        "--fold", metavar="COLUMN", default="", help="column of the benchmark's folds"
    )
    group.add_argument(
        "--groups",
        metavar="TABLE",
        type=Path,
        help="table with the groups: one row per person (subject, race, gender ...) or per image",
    )
    group.add_argument(
        "--groups-subject",
        metavar="COLUMN",
        default="",
        help="column of people in the --groups table",
    )
    group.add_argument(
        "--groups-image",
        metavar="COLUMN",
        default="",
        help="column of images in the --groups table",
    )
    group.add_argument(
        "--by",
        metavar="ATTRIBUTE",
        action="append",
        default=[],
        help="attribute whose groups are compared; A+B is an intersection, A=LEFT,RIGHT names "
        "the two columns, A:18,30,45 puts numbers into bins; repeat for several audits "
        "(default: group)",
    )
    group.add_argument("--many-groups", action="store_true", help="allow more than 20 groups")
    group.add_argument(
        "--group-names",
        metavar="NAMES",
        type=_listed,
        default=(),
        help="names of the groups in the order to show, comma-separated; other names are refused",
    )
    group.add_argument(
        "--unknown-groups",
        action="store_true",
        help="keep people without a group; they count in the rates of everyone only",
    )
    group.add_argument(
        "--subjects-by-group",
        action="store_true",
        help="the same subject name in two groups means two people (RFW); pairs of one name in two "
        "groups are left out and counted",
    )
    group.add_argument(
        "--any-direction",
        action="store_true",
        help="go on although pairs of one person score below pairs of two, or positive labels have "
        "lower probabilities; without this the audit stops, as a column is probably reversed",
    )


def add_pairs(group: Any) -> None:
    """Adds the options that say which pairs of embeddings are compared."""
    from fairjax.core.comparisons import SCORERS

    group.add_argument(
        "--embedding",
        metavar="PREFIX",
        default="",
        help="in a table of embeddings, what the columns begin with: e for e0, e1, ...",
    )
    group.add_argument(
        "--scorer",
        choices=SCORERS,
        default="",
        help="how embeddings are compared: by cosine, or by mutual likelihood (mls), which needs "
        "an .npz with variances or log_variances (default: mls where all files have them)",
    )
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--pairs",
        metavar="TABLE",
        type=Path,
        help="table of the pairs to compare, with columns image1, image2 and optionally fold",
    )
    which.add_argument("--all-pairs", action="store_true", help="compare every pair of images")
    which.add_argument(
        "--sample-pairs",
        metavar="N",
        type=_positive,
        help="compare at most N pairs of one person and N of two persons in each group, and N "
        "between every two groups",
    )


def _add_covariates(group: Any) -> None:
    group.add_argument(
        "--covariates",
        metavar="TABLE",
        type=Path,
        help="table with one row per image (or person) and its covariates, such as brightness, "
        "sharpness, pose or age (fairjax covariates IMAGES measures some): error rates by group "
        "are then also given with covariates held",
    )
    group.add_argument(
        "--covariate",
        metavar="NAME",
        action="append",
        default=[],
        help="covariate to hold; repeat for several (default: every column of numbers in the "
        "--covariates table). Without --covariates: a column of the --groups table, NAME1 and "
        "NAME2 in FILE, or NAME in a table of predictions",
    )


def _add_predictions(group: Any) -> None:
    group.add_argument("--label", metavar="COLUMN", help="column of the true label")
    group.add_argument("--prediction", metavar="COLUMN", help="column of the predicted label")
    group.add_argument(
        "--probability",
        metavar="COLUMN",
        help="column of the probability of the positive label; without --prediction, 0.5 and above "
        "predicts it",
    )
    group.add_argument(
        "--positive",
        metavar="LABEL",
        help="label that counts as positive (default: 1, true or yes)",
    )
    group.add_argument(
        "--classes",
        metavar="LABELS",
        type=_listed,
        default=(),
        help="all classes in order, comma-separated; needed if one never occurs in the table",
    )
    group.add_argument(
        "--no-answer",
        metavar="WORDS",
        type=_listed,
        default=(),
        help="words in the prediction column that mean 'no answer', such as 'no face', "
        "comma-separated; a blank counts, too. Such rows are counted by group, and rates are given "
        "with and without them",
    )
    group.add_argument(
        "--regression",
        action="store_true",
        help="label and prediction are numbers, such as ages: mean errors by group",
    )


def _add_measuring(group: Any) -> None:
    from fairjax.audit.run import ACCURACY_VARIANTS

    group.add_argument(
        "--fmr",
        metavar="RATES",
        type=_rates,
        default=None,
        help="false match rates, comma-separated; errors are measured at the threshold that "
        "reaches each (default: 1e-3,1e-4)",
    )
    group.add_argument(
        "--threshold",
        metavar="SCORE",
        type=float,
        action="append",
        default=[],
        help="threshold of your system, in the scores' unit: pairs are accepted from it on "
        "(distances: up to it); repeat for several. Without --fmr, only these thresholds are "
        "used",
    )
    group.add_argument(
        "--calibrate-on",
        metavar="TABLE",
        type=Path,
        help="other scored pairs, to find the thresholds on; read like FILE",
    )
    group.add_argument(
        "--protocol",
        choices=list(ACCURACY_VARIANTS),
        help="add the accuracies that the papers on this benchmark report (default: plain; with "
        "--model, its benchmark's)",
    )
    group.add_argument(
        "--tolerance",
        metavar="NAME=GAP",
        type=_tolerance,
        action="append",
        default=[],
        help="largest gap that you accept, for a verdict: fmr_max_over_min=2 or "
        "fnmr_difference=0.01; repeat for several. A number alone is the largest ratio of both "
        "error rates",
    )
    group.add_argument(
        "--bootstrap",
        metavar="N",
        type=_positive,
        default=2000,
        help="number of bootstrap resamples of people (default: %(default)s)",
    )
    group.add_argument(
        "--level",
        metavar="SHARE",
        type=_level,
        help=f"coverage of the confidence intervals (default: {_LEVEL})",
    )
    group.add_argument(
        "--seed",
        metavar="N",
        type=_natural,
        default=0,
        help="seed of all random draws (default: 0)",
    )
    group.add_argument(
        "--paired",
        action="store_true",
        help="two tables (or embeddings) of the same pairs, before and after a change: test what "
        "changed, on the same people",
    )
    group.add_argument(
        "--stream",
        action="store_true",
        help="read the table in passes instead of into memory; tables above 2 GiB always are. "
        "Several files are then parts of one table. Gives rates and intervals, but no noise "
        "floors, verdicts, accuracies or check for pairs listed twice",
    )
    group.add_argument(
        "--stated",
        metavar="KEY=VALUE",
        type=pair,
        action="append",
        default=[],
        help="fact to keep with the results, such as model=v3 or flip=yes; `fairjax diff` "
        "compares it; repeat for several",
    )


def _audit(arguments: argparse.Namespace) -> None:
    from fairjax.audit.tables import InputError

    console = answers.console()
    if arguments.self_test:
        return _self_test(arguments, console)
    _check_partial(arguments)
    _check_out(arguments.out)
    if arguments.model or arguments.data:
        arguments.files = [_embedded(arguments)]
    arguments.protocol = arguments.protocol or "plain"
    if arguments.demo and arguments.files:
        raise UsageError("--demo brings its own scores; leave FILE out.")
    if arguments.partial:
        return _partial(arguments, console)
    if not (arguments.files or arguments.demo or arguments.merge):
        raise UsageError("nothing to audit: give FILE, --model with --data, --demo or --self-test.")
    before = _results_in(arguments.out)
    try:
        if arguments.demo:
            _demo(arguments, console)
        elif arguments.merge:
            _merge(arguments, console)
        else:
            _run(arguments, console)
    except InputError as error:
        after = _results_in(arguments.out)
        old = [str(path) for path, written in before.items() if after.get(path) == written]
        if not old:
            raise
        raise InputError(f"{error} (What is in {', '.join(old)} is an earlier audit's.)") from error


def _results_in(out: Path | None) -> dict[Path, int]:
    """The results that a folder holds, and when each was written."""
    if out is None:
        return {}
    found = [*out.glob("results.json"), *out.glob("*/results.json")]
    return {path: path.stat().st_mtime_ns for path in sorted(found)}


def _check_out(out: Path | None) -> None:
    """Refuses a folder that can't be made, before anything is measured."""
    from fairjax.audit.tables import InputError

    if out is None:
        return
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"--out {out}: {nearest} is not a folder that can be written to.")


def _embedded(arguments: argparse.Namespace) -> Path:
    """The file of embeddings in --out that --model makes of --data; its protocol is the default."""
    from fairjax.audit.embeddings import read_made
    from fairjax.audit.run import ACCURACY_VARIANTS
    from fairjax.cli import embed

    if not (arguments.model and arguments.data and arguments.out):
        raise UsageError(
            "--model, --data and --out go together: a model, its images, and a folder."
        )
    if arguments.files:
        raise UsageError("--model makes the embeddings; leave FILE out.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "embeddings.npz"
    embed.write(
        argparse.Namespace(
            model=arguments.model,
            images=arguments.data,
            out=path,
            batch_size=embed.BATCH,
            threads=0,
            step=None,
            flip=arguments.flip,
            landmarks=arguments.landmarks,
            **{name: getattr(arguments, name) for name in embed.INPUT},
        )
    )
    benchmark = read_made(path).get("protocol", "")
    if not arguments.protocol and benchmark in ACCURACY_VARIANTS:
        arguments.protocol = benchmark
    return path


def _check_partial(arguments: argparse.Namespace) -> None:
    """Refuses options that do not go with --partial, --merge or --keep."""
    if arguments.keep is not None and not arguments.partial:
        raise UsageError("--keep goes with --partial.")
    if arguments.merge:
        for action in arguments.parser._actions:
            given = getattr(arguments, action.dest, action.default)
            if action.dest not in _OF_MERGE and given not in (action.default, [], ()):
                option = action.option_strings[0] if action.option_strings else "FILE"
                raise UsageError(
                    f"--merge takes --out, --tables and --title; {option} is fixed when the "
                    "partial files are made."
                )
    if arguments.partial:
        if not arguments.files or not arguments.out:
            raise UsageError("--partial needs one table or more, and --out DIR.")
        if arguments.title or arguments.tables:
            raise UsageError("--partial makes no report: say --title and --tables with --merge.")
        if arguments.demo or arguments.model or arguments.data:
            raise UsageError("--partial takes tables of scored pairs: no --demo, --model, --data.")


def _partial(arguments: argparse.Namespace, console: Any) -> None:
    from fairjax.audit import request

    written = request.write_partial(
        _request(arguments, ()), arguments.out, keep=arguments.keep, watch=console.status
    )
    console.print(
        f"{written.path}: {written.pairs:,} pairs, {written.kept:,} of them one by one and "
        f"{written.pairs - written.kept:,} as {written.couples:,} couples of people; "
        f"{written.size / 2**20:.1f} MiB.\n"
        "It holds names of people and scores of pairs: keep it where the tables may be.\n"
        f"Next: fairjax audit --merge {written.path.parent} MORE... --out OUT",
        soft_wrap=True,
    )


def _merge(arguments: argparse.Namespace, console: Any) -> None:
    from fairjax.audit import partial

    with console.status("Merging ..."):
        found = list(partial.merge(arguments.merge, command=answers.command()))
    for by, results in found:
        first = results.provenance["files"]["file 1"]["name"]
        arguments.title = arguments.title or first
        _say(arguments, console, results, by if len(found) > 1 else "")


def _demo(arguments: argparse.Namespace, console: Any) -> None:
    from fairjax.audit import demo
    from fairjax.audit.phantom_scores import Planted

    planted = demo.GAP if arguments.demo == "gap" else Planted()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        table = folder / "comparisons.csv"
        if arguments.demo == "picture":
            demo.write_pictures(folder, seed=arguments.seed)
            arguments.covariates = folder / "images.csv"
            limits = demo.picture_limits()
        else:
            demo.write_comparisons(table, planted, seed=arguments.seed)
            limits = demo.limits(planted)
        arguments.files = [table]
        arguments.title = arguments.title or "Demonstration on made-up scores"
        if arguments.fmr is None and not arguments.threshold:
            arguments.fmr = (1e-2, 1e-3)  # what so few pairs resolve
        _run(arguments, console, limits=limits)


def _run(arguments: argparse.Namespace, console: Any, limits: Sequence[str] = ()) -> None:
    """Measures, prints and writes, one attribute after the other."""
    from fairjax.audit import request

    several = len(arguments.by) > 1
    measured = request.measure(_request(arguments, limits), console.status)
    for by, results in measured:
        _say(arguments, console, results, by if several else "")


def _request(arguments: argparse.Namespace, limits: Sequence[str]) -> Any:
    """The audit that the command line asks for."""
    from fairjax.audit import predictions, request, run

    columns = None
    if arguments.label:
        columns = predictions.Columns(
            arguments.label,
            arguments.prediction or "",
            arguments.probability or "",
            arguments.positive or "",
            arguments.classes,
            arguments.no_answer,
            arguments.regression,
        )
    return request.Request(
        files=arguments.files,
        asked=asked_of(arguments),
        settings=run.Settings(
            fmrs=_fmrs(arguments),
            thresholds=arguments.threshold,
            protocol=arguments.protocol,
            tolerances=dict(pair for pairs in arguments.tolerance for pair in pairs),
            resamples=arguments.bootstrap,
            level=arguments.level or _LEVEL,
            seed=arguments.seed,
            limits=limits,
            paired=arguments.paired,
        ),
        predictions=columns,
        groups=arguments.groups,
        groups_subject=arguments.groups_subject,
        groups_image=arguments.groups_image,
        pairs=arguments.pairs,
        all_pairs=arguments.all_pairs,
        sample_pairs=arguments.sample_pairs,
        calibrate_on=arguments.calibrate_on,
        covariates=arguments.covariates,
        hold=arguments.covariate,
        stream=arguments.stream,
        stated=dict(arguments.stated),
        command=answers.command(),
        dataset="phantom" if arguments.demo else "",
    )


def _say(arguments: argparse.Namespace, console: Any, results: Any, part: str) -> None:
    """Prints the verdict and writes the files, in a folder of their own if there are several."""
    from fairjax.audit import outputs, paired
    from fairjax.report import print_summary, print_tables

    if arguments.tables:
        print_tables(outputs.tables(results), console)
    for limit in results.limits:
        console.print(f"Note: {limit}", soft_wrap=True)
    if part:
        console.print(f"\nBy {part}:", soft_wrap=True)
    print_summary(results, console)
    for sentence in paired.sentences(results):
        console.print(sentence, soft_wrap=True)
    if arguments.out:
        folder = arguments.out / _UNFIT.sub("-", part)
        outputs.write(folder, results, title=arguments.title or arguments.files[0].name)
        console.print(f"\nReport: {folder / 'report.html'}", soft_wrap=True)


def people_of(arguments: argparse.Namespace) -> Any:
    """The table of people or images, or None."""
    from fairjax.audit.people import load_people

    if arguments.groups is None:
        return None
    return load_people(
        arguments.groups,
        subject=arguments.subject,
        image=arguments.image,
        own_subject=arguments.groups_subject,
        own_image=arguments.groups_image,
    )


def asked_of(arguments: argparse.Namespace) -> Any:
    """What the options say of the columns of a table."""
    from fairjax.audit.layout import Asked

    return Asked(
        scores=arguments.score,
        distances=arguments.distance,
        mated=arguments.mated,
        subject=arguments.subject,
        image=arguments.image,
        fold=arguments.fold,
        by=arguments.by,
        group_names=arguments.group_names,
        unknown_groups=arguments.unknown_groups,
        subjects_by_group=arguments.subjects_by_group,
        any_direction=arguments.any_direction,
        zero_is_same=arguments.zero_is_same,
        kind=arguments.kind,
        names_as_written=arguments.names_as_written,
        many_groups=arguments.many_groups,
        failures=arguments.failures,
        failure_scores=arguments.failure_score,
        decision=arguments.decision,
        accept=arguments.accept,
        embedding=arguments.embedding,
        scorer=arguments.scorer,
    )


def _self_test(arguments: argparse.Namespace, console: Any) -> None:
    from fairjax.audit import self_test
    from fairjax.report import print_tables

    with console.status("Auditing made-up scores ...") as status:
        outcome = self_test.run(
            arguments.self_test,
            seed=arguments.seed,
            progress=lambda done: status.update(f"{done} audits of made-up scores ..."),
        )
    print_tables([self_test.table(outcome)], console)
    print("passed" if outcome.passed else "FAILED")
    if not outcome.passed:
        raise SystemExit(3)


def _fmrs(arguments: argparse.Namespace) -> tuple[float, ...]:
    """The target rates: as asked for, or the default where nothing else is an operating point."""
    from fairjax.audit.run import FMRS

    if arguments.fmr is not None:
        return tuple(arguments.fmr)
    return () if arguments.threshold or arguments.decision else FMRS


def _score(text: str) -> float | str:
    """A number, or a word that stands in the column of scores."""
    try:
        return float(text)
    except ValueError:
        return text.strip()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} must be 0 or more")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} must be above 0 and at most 1, as 0.1")
    return value


def _level(text: str) -> float:
    value = float(text)
    if not 0.5 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0.5 and below 1, as 0.95")
    return value


def _listed(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _rates(text: str) -> tuple[float, ...]:
    rates = tuple(float(word) for word in text.split(","))
    if not all(0 < rate < 1 for rate in rates):
        raise argparse.ArgumentTypeError(f"{text}: a rate is a fraction between 0 and 1, as 1e-3")
    return rates


def pair(text: str) -> tuple[str, str]:
    """The name and the value of NAME=VALUE."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _tolerance(text: str) -> list[tuple[str, float]]:
    if "=" in text:
        name, value = pair(text)
        gap, least = float(value), 1.0 if "_over_" in name else 0.0
        if not least <= gap < math.inf:
            raise argparse.ArgumentTypeError(f"{text}: this gap is a number from {least:g} on")
        return [(name, gap)]
    if not 1 <= float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: a bare tolerance is a ratio of 1 or more")
    return [(f"{rate}_max_over_min", float(text)) for rate in ("fmr", "fnmr")]
