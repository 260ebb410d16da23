"""`fairjax audit`: somebody's scores, embeddings or predictions, and how errors differ by group."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairjax.cli import answers, audit_flags, audit_inputs, audit_output, table_flags
from fairjax.core.errors import UsageError

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
    table_flags.add_columns(audit.add_argument_group("columns and groups"))
    table_flags.add_pairs(audit.add_argument_group("pairs of embeddings"))
    audit_flags.add_covariates(audit.add_argument_group("is it the group or the picture?"))
    audit_flags.add_predictions(audit.add_argument_group("attribute models"))
    audit_flags.add_measuring(audit.add_argument_group("what is measured"))
    audit_flags.add_model(audit.add_argument_group("a model and its images, in one line"))
    audit_flags.add_partial(audit.add_argument_group("tables in many files, on many machines"))
    audit_flags.add_trial(audit.add_argument_group("try it"))
    audit.set_defaults(run=_audit)


def _audit(arguments: argparse.Namespace) -> None:
    """Makes the audit that the flags ask for."""
    console = answers.console()
    if arguments.self_test:
        audit_flags.check_alone(arguments)
        return _self_test(arguments, console)
    audit_flags.check_partial(arguments)
    audit_flags.check_company(arguments)
    answers.check_folder(arguments.out)
    if arguments.model or arguments.data:
        arguments.files = [audit_inputs.write_embeddings(arguments)]
    arguments.protocol = arguments.protocol or "plain"
    if arguments.demo and arguments.files:
        raise UsageError("--demo brings its own scores; leave FILE out.")
    if arguments.partial:
        return _partial(arguments, console)
    if not (arguments.files or arguments.demo or arguments.merge):
        raise UsageError("nothing to audit: give FILE, --model with --data, --demo or --self-test.")
    with audit_output.naming_earlier_results(arguments.out):
        if arguments.demo:
            _demo(arguments, console)
        elif arguments.merge:
            _merge(arguments, console)
        else:
            _measure(arguments, console)


def _partial(arguments: argparse.Namespace, console: Any) -> None:
    """Writes the partial file of --partial."""
    from fairjax.audit import request

    written = request.write_partial(
        audit_inputs.request_of(arguments, ()),
        arguments.out,
        keep=arguments.keep,
        watch=console.status,
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
    """Makes the audits of the tables behind the partial files."""
    from fairjax.audit import partial

    with console.status("Merging ..."):
        audits = list(partial.merge(arguments.merge, command=answers.command()))
    for by, results in audits:
        arguments.title = arguments.title or results.provenance["files"]["file 1"]["name"]
        audit_output.show(arguments, console, results, by if len(audits) > 1 else "")


def _demo(arguments: argparse.Namespace, console: Any) -> None:
    """Audits made-up scores, which are left in --out where it is given."""
    with tempfile.TemporaryDirectory() as scratch:
        limits = audit_inputs.write_demo(arguments, arguments.out or Path(scratch))
        arguments.title = arguments.title or "Demonstration on made-up scores"
        if arguments.fmr is None and not arguments.threshold:
            arguments.fmr = (1e-2, 1e-3)  # what so few pairs resolve
        _measure(arguments, console, limits=limits)


def _measure(arguments: argparse.Namespace, console: Any, limits: Sequence[str] = ()) -> None:
    """Measures, prints and writes, one attribute after the other."""
    from fairjax.audit import request

    audits = request.measure(audit_inputs.request_of(arguments, limits), console.status)
    for by, results in audits:
        audit_output.show(arguments, console, results, by if len(arguments.by) > 1 else "")


def _self_test(arguments: argparse.Namespace, console: Any) -> None:
    """Audits made-up scores many times and says whether the audit kept its promises."""
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
