"""`fairjax plan`: memory and hours of a run; `fairjax plan audit`: how many people to collect."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairjax.cli import answers, values

GIB = 2**30
# Settings that save memory; what is learned stays the same, but for rounding.
SAVINGS = (
    "compute_dtype=bfloat16",
    "train.accumulate=4",
    "train.shard_optimizer=True",
    "backbone.remat=True",
)


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    plan = verbs.add_parser(
        "plan",
        help="say what memory and hours a run needs, or how many people an audit (plan audit)",
        description="Prints how many parameters a run has, how much memory its class head and a "
        "training step take, and the largest batch that fits, from the compiled step. If a step "
        "fits the devices of this machine, it then times a few steps on random pixels and prints "
        "the hours of all of them. --config.KEY=VALUE changes the config as in training.",
        epilog="Example: fairjax plan --config configs/recognition/margin.py:depth=50 "
        "--config.method.head.name=streamed --config.train.head_shards=8 --classes 1000000 "
        "--devices 8 --memory 80",
    )
    plan.add_argument("--config", metavar="FILE[:ARG]", help="the config of the run")
    plan.add_argument(
        "--classes",
        type=int,
        metavar="N",
        help="number of people to tell apart (default: read the data)",
    )
    plan.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="simulate N devices on the CPU (default: the devices of this machine)",
    )
    plan.add_argument(
        "--memory",
        type=values.finite,
        metavar="GIB",
        help="memory of each device (default: what it has)",
    )
    plan.add_argument(
        "--memory-only", action="store_true", help="allocate nothing: time no step, tell no hours"
    )
    plan.add_argument(
        "--savings",
        action="store_true",
        help="compile the step again with each setting that saves memory, and with all of them",
    )
    plan.set_defaults(run=_plan)
    _add_audit(plan.add_subparsers(metavar="audit", dest="planned"))


def _add_audit(kinds: Any) -> None:
    audit = kinds.add_parser(
        "audit",
        help="how many people an audit must collect",
        description="How many people and pairs must each group have before an audit shows that one "
        "group's error rate is RATIO times that of the others? With --people the other way round: "
        "which ratio do so many people show? Pairs that share a person count for less than "
        "independent ones; how much less is assumed, or taken from an earlier audit with --like.",
        epilog="Example: fairjax plan audit --ratio 2 --fmr 1e-3 --fnmr 0.05 --groups 4 "
        "--images-per-person 4 --out plan/",
    )
    audit.add_argument("--ratio", type=float, default=2.0, help="gap to show (default: 2)")
    audit.add_argument("--fmr", type=float, default=1e-3, help="false match rate (default: 1e-3)")
    audit.add_argument(
        "--fnmr", type=float, default=0.05, help="false non-match rate (default: 0.05)"
    )
    audit.add_argument(
        "--groups", type=int, help="how many groups (default: as many as --people names, or 4)"
    )
    audit.add_argument(
        "--images-per-person", type=int, default=4, metavar="M", help="images (default: 4)"
    )
    audit.add_argument(
        "--people",
        type=values.whole_numbers,
        default=(),
        metavar="N[,N...]",
        help="people in each group, to ask what they can show",
    )
    audit.add_argument(
        "--power", type=float, default=0.8, help="chance to show the gap (default: 0.8)"
    )
    audit.add_argument(
        "--points", type=int, default=1, help="thresholds that the audit tests (default: 1)"
    )
    audit.add_argument(
        "--nonmated-pairs",
        type=values.positive,
        metavar="N",
        help="compare at most N non-mated pairs in a group (default: all)",
    )
    audit.add_argument(
        "--shared",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="share of a score's variance that comes from its people, where --like does not "
        "measure it (default: 0.3)",
    )
    audit.add_argument(
        "--like", type=Path, metavar="RESULTS", help="results.json of an earlier audit"
    )
    audit.add_argument("--out", type=Path, metavar="DIR", help="write numbers and picture here")
    audit.set_defaults(run=_plan_audit)


def _plan_audit(arguments: argparse.Namespace) -> None:
    from fairjax.audit.plan import Question, plan
    from fairjax.config import ConfigError

    if arguments.overrides or arguments.config:
        raise ConfigError("an audit's plan has no config; leave out --config.")
    several = len(arguments.people or ()) > 1
    by_default = len(arguments.people) if several else 4
    groups = by_default if arguments.groups is None else arguments.groups
    question = Question(
        fmr=arguments.fmr,
        fnmr=arguments.fnmr,
        groups=groups,
        images=arguments.images_per_person,
        ratio=arguments.ratio,
        power=arguments.power,
        points=arguments.points,
        shared=arguments.shared,
        most_pairs=arguments.nonmated_pairs,
        people=arguments.people,
    )
    answers.answer(plan(question, like=arguments.like), arguments.out)


def _plan(arguments: argparse.Namespace) -> None:
    from fairjax.config import ConfigError, load, override, validate, validate_devices
    from fairjax.report import print_tables

    if not arguments.config:
        raise ConfigError("say --config FILE for a run's memory, or `fairjax plan audit`.")
    config = load(arguments.config)
    override(config, arguments.overrides)
    if "study" in config:
        raise ConfigError(f"{arguments.config} is a study; plan one of its runs' configs.")
    for name, above in (("classes", 1), ("devices", 0), ("memory", 0)):
        value = getattr(arguments, name)
        if value is not None and value <= above:
            raise ConfigError(f"--{name}={value} must be above {above}.")
    validate(config)
    import jax

    from fairjax.run import capacity, prepare
    from fairjax.run.build import build_run

    if arguments.devices:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", arguments.devices)
    settings = build_run(config)
    validate_devices(settings.train, settings.eval, jax.device_count())
    if arguments.classes:
        dataset = capacity.stand_in(settings, arguments.classes)
    else:
        dataset = settings.data.load(seed=settings.seed)
        prepare.check_data(settings, dataset)
        prepare.dry_run(settings, dataset)
    limit = int(arguments.memory * GIB) if arguments.memory else _memory(jax.devices()[0])
    console = answers.console()
    with console.status("") as status:

        def look(batch: int) -> None:
            status.update(f"Compiling the step for {batch:,} images...")

        try:
            needed = capacity.measure(settings, dataset, limit=limit, look=look)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        tables = [_table(settings, needed, limit)]
        if arguments.savings:

            def bytes_with(words: list[str]) -> int:
                status.update(f"Compiling the step with {' '.join(words)}...")
                changed = load(arguments.config)
                override(changed, [*arguments.overrides, *words])
                validate(changed)
                other = build_run(changed)
                validate_devices(other.train, other.eval, jax.device_count())
                return capacity.bytes_of_run(other, dataset)

            tables.append(_savings_table(bytes_with, needed.steps[settings.train.batch_size]))
        at_hand = not (arguments.devices or arguments.memory)  # or the plan is for other devices
        if at_hand and not arguments.memory_only and needed.largest >= settings.train.batch_size:
            status.update("Timing a step...")
            seconds = capacity.time_step(settings, dataset)
            tables.append(_time_table(settings, len(dataset.splits["train"]), seconds))
    print_tables(tables, console)


def _savings_table(bytes_with: Callable[[list[str]], int], now: int) -> Any:
    """Memory of a step with each of SAVINGS, and with all that bring something.

    Args:
      bytes_with: Words of the command line -> bytes of a device in a step; raises ValueError
        where the run refuses them.
      now: Bytes of a device in a step as the config has it.
    """
    from fairjax.core.results import Table

    rows, refused, useful = [["as it is", f"{now / GIB:.3f}", "100%"]], [], []

    def add(name: str, words: list[str]) -> None:
        size = bytes_with(words)
        rows.append([name, f"{size / GIB:.3f}", f"{size / now:.0%}"])
        if size < now:
            useful.extend(words)

    for saving in SAVINGS:
        word = f"--config.{saving}"
        try:
            add(word, [word])
        except ValueError as error:
            refused.append(f" {word} is not for this run: {error}")
    if len(useful) > 1:
        add("all that save memory", list(useful))
    return Table(
        title="What saves memory",
        columns=["setting", "GiB a device", "of the run's"],
        rows=rows,
        note="From the program compiled with each setting." + "".join(refused),
    )


def _memory(device: Any) -> int:
    """Bytes that a device has; the simulated ones share the host's."""
    from fairjax.config import ConfigError

    known = device.memory_stats() or {}
    if not hasattr(os, "sysconf"):  # Windows
        if "bytes_limit" in known:
            return known["bytes_limit"]
        raise ConfigError("the memory of this machine is not known; give it with --memory GIB.")
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return known.get("bytes_limit", host // device.client.device_count())


def _time_table(settings: Any, images: int, seconds: float) -> Any:
    """How long training takes: a step, and all of them."""
    from fairjax.core.results import Table

    train = settings.train
    rows = [
        [f"a step of {train.batch_size:,} images", f"{seconds:.3g} s"],
        ["images a second", f"{train.batch_size / seconds:,.0f}"],
    ]
    if images:  # --classes reads no data
        steps = max(1, round(train.epochs * images / train.batch_size))
        hours = steps * seconds / 3600
        rows.append([f"{train.epochs:g} epochs: {steps:,} steps", f"{hours:,.2f} h"])
    return Table(
        title="Time on the devices at hand",
        columns=["", "time"],
        rows=rows,
        note="Steps alone, on random pixels: validation and checkpoints come on top, and reading "
        "images where it cannot keep up.",
    )


def _table(settings: Any, needed: Any, limit: int) -> Any:
    import jax

    from fairjax.core.results import Table

    batch = settings.train.batch_size
    kept = sum(x.bytes for x in (needed.head, needed.rest, needed.head_state, needed.rest_state))

    def row(name: str, numbers: int | None, size: int) -> list[str]:
        return [name, "" if numbers is None else f"{numbers:,}", f"{size / GIB:.3f}"]

    rows = []
    if needed.head.numbers:
        rows.append(row("class weights", needed.head.numbers, needed.head.bytes))
        rows.append(row("their optimiser", needed.head_state.numbers, needed.head_state.bytes))
    rows += [
        row("other weights", needed.rest.numbers, needed.rest.bytes),
        row("their optimiser, statistics", needed.rest_state.numbers, needed.rest_state.bytes),
        row(f"gradients, workspace of {batch:,} images", None, needed.steps[batch] - kept),
        row(f"a step of {batch:,} images", None, needed.steps[batch]),
    ]
    if needed.largest:
        rows.append(
            row(f"largest batch: {needed.largest:,} images", None, needed.steps[needed.largest])
        )
    else:
        rows.append(["largest batch: none fits", "", ""])
    devices = jax.devices()
    return Table(
        title=f"{settings.title}, on {len(devices)} x {devices[0].device_kind}"
        + (
            f", {settings.head} head over {settings.train.head_shards}"
            if settings.class_label
            else ""
        ),
        columns=["", "numbers", "GiB a device"],
        rows=rows,
        note=f"Limit: {limit / GIB:.1f} GiB a device. Workspace is that of the program compiled "
        f"for {devices[0].platform}; another kind of device takes more or less.",
    )
