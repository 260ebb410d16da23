"""What `fairjax audit` reads: the request that its flags make, and tables that it writes first."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairjax.cli import answers, embed, table_flags
from fairjax.cli.audit_flags import LEVEL
from fairjax.core.errors import UsageError


def request_of(arguments: argparse.Namespace, limits: Sequence[str] = ()) -> Any:
    """The audit that the command line asks for; `limits` are sentences on what it cannot show."""
    from fairjax.audit import prediction_tables, request, run

    columns = None
    if arguments.label:
        columns = prediction_tables.PredictionColumns(
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
        options=table_flags.table_options_of(arguments),
        settings=run.Settings(
            fmrs=_fmrs(arguments),
            thresholds=arguments.threshold,
            protocol=arguments.protocol,
            tolerances=dict(pair for pairs in arguments.tolerance for pair in pairs),
            resamples=arguments.bootstrap,
            level=arguments.level or LEVEL,
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


def _fmrs(arguments: argparse.Namespace) -> tuple[float, ...]:
    """The target rates: as asked for, or the default where nothing else is an operating point."""
    from fairjax.audit.run import FMRS

    if arguments.fmr is not None:
        return tuple(arguments.fmr)
    return () if arguments.threshold or arguments.decision else FMRS


def write_embeddings(arguments: argparse.Namespace) -> Path:
    """Embeds --data with --model into --out, and takes its protocol where none is asked for."""
    from fairjax.audit.embedding_files import read_made
    from fairjax.audit.run import ACCURACY_VARIANTS

    if not (arguments.model and arguments.data and arguments.out):
        raise UsageError(
            "--model, --data and --out go together: a model, its images, and a folder."
        )
    if arguments.files:
        raise UsageError("--model makes the embeddings; leave FILE out.")
    chosen = arguments.pairs or arguments.all_pairs or arguments.sample_pairs
    if Path(arguments.data).exists() and not chosen:
        raise UsageError(
            f"--data {arguments.data} is no benchmark with pairs of its own; add --pairs TABLE, "
            "--all-pairs or --sample-pairs N."
        )
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
            config="",
            flip=arguments.flip,
            landmarks=arguments.landmarks,
            **{name: getattr(arguments, name) for name in embed.INPUT},
        )
    )
    benchmark = read_made(path).get("protocol", "")
    if not arguments.protocol and benchmark in ACCURACY_VARIANTS:
        arguments.protocol = benchmark
    return path


def write_demo(arguments: argparse.Namespace, folder: Path) -> Sequence[str]:
    """Writes the made-up tables of --demo, and returns the sentences on what they cannot show."""
    from fairjax.audit import demo
    from fairjax.audit.phantom_scores import Planted

    folder.mkdir(parents=True, exist_ok=True)
    arguments.files = [folder / "comparisons.csv"]
    if arguments.demo == "picture":
        demo.write_pictures(folder, seed=arguments.seed)
        arguments.covariates = folder / "images.csv"
        return demo.picture_limits()
    planted = demo.GAP if arguments.demo == "gap" else Planted()
    demo.write_comparisons(arguments.files[0], planted, seed=arguments.seed)
    return demo.limits(planted)
