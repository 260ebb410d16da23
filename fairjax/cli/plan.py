"""`fairjax plan`: what a run would ask of the devices, and how long it would take."""

import argparse
import os
from typing import Any

GIB = 2**30


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    plan = verbs.add_parser(
        "plan",
        help="say what memory and how many hours a run needs, and how large its batch may be",
        description="Prints how many parameters a run has, how much memory its class head and a "
        "training step take, and the largest batch that fits, from the compiled step. If a step "
        "fits the devices of this machine, it then times a few steps on random pixels and prints "
        "the hours of all of them. --config.KEY=VALUE changes the config as in training.",
        epilog="Example: fairjax plan --config configs/recognition/margin.py:depth=50 "
        "--config.method.head.name=streamed --config.train.head_shards=8 --classes 1000000 "
        "--devices 8 --memory 80",
    )
    plan.add_argument("--config", metavar="FILE[:ARG]", required=True, help="the config of the run")
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
        "--memory", type=float, metavar="GIB", help="memory of each device (default: what it has)"
    )
    plan.add_argument(
        "--memory-only", action="store_true", help="allocate nothing: time no step, tell no hours"
    )
    plan.set_defaults(run=_plan)


def _plan(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from fairjax.config import ConfigError, load, override, validate
    from fairjax.report import print_tables

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

    from fairjax.run import capacity
    from fairjax.run.build import build_run

    if arguments.devices:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", arguments.devices)
    settings = build_run(config)
    validate(config, device_count=jax.device_count())
    if arguments.classes:
        dataset = capacity.stand_in(settings, arguments.classes)
    else:
        dataset = settings.data.load(seed=settings.seed)
    limit = int(arguments.memory * GIB) if arguments.memory else _memory(jax.devices()[0])
    console = Console(highlight=False, markup=False)
    with console.status("") as status:

        def look(batch: int) -> None:
            status.update(f"Compiling the step for {batch:,} images...")

        try:
            needed = capacity.measure(settings, dataset, limit=limit, look=look)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        tables = [_table(settings, needed, limit)]
        at_hand = not (arguments.devices or arguments.memory)  # or the plan is for other devices
        if at_hand and not arguments.memory_only and needed.largest >= settings.train.batch_size:
            status.update("Timing a step...")
            seconds = capacity.time_step(settings, dataset)
            tables.append(_time_table(settings, len(dataset.splits["train"]), seconds))
    print_tables(tables, console)


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
