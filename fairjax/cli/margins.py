"""`fairjax margins`: learn which margin each group should get next, for the method `rl_rbn`."""

import argparse
from pathlib import Path
from typing import Any

OPTIONS = (
    ("warmup-steps", int, "training steps before the first episode"),
    ("episodes", int, "episodes, each from the same warm network"),
    ("moves", int, "moves of the margins in an episode"),
    ("steps", int, "training steps after a move"),
    ("explore", float, "share of moves that are random"),
)


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    margins = verbs.add_parser(
        "margins",
        help="learn a policy of margins by group, for method=rl_rbn",
        description="Trains a network for a while, tries margins on short trainings, and fits a "
        "small Q-network to what they did to the biases between groups. Writes "
        "WORKDIR/policy.json, which config.method.policy takes. The same line resumes a search "
        "that was stopped; --config.KEY=VALUE changes the config as it does in training.",
        epilog="Example: fairjax margins --config configs/recognition/margin.py:method=rl_rbn "
        "--workdir runs/margins",
    )
    margins.add_argument("--config", metavar="FILE[:ARG]", required=True, help="the run's config")
    margins.add_argument("--workdir", metavar="DIR", required=True, help="the search's folder")
    for name, kind, text in OPTIONS:
        margins.add_argument(f"--{name}", type=kind, help=text)
    margins.set_defaults(run=_margins)


def _margins(arguments: argparse.Namespace) -> None:
    from absl import logging

    from fairjax.config import ConfigError, load, override, validate, validate_devices

    config = load(arguments.config)
    override(config, arguments.overrides)
    if "study" in config:
        raise ConfigError(f"{arguments.config} is a study; give one of its runs' configs.")
    validate(config)
    import jax

    from fairjax.run import prepare
    from fairjax.run.build import build_run
    from fairjax.run.margins import MarginSearch, learn_margins
    from fairjax.run.workdir import claim

    names = [name.replace("-", "_") for name, _, _ in OPTIONS]
    chosen = {name: getattr(arguments, name) for name in names}
    try:
        search = MarginSearch(**{name: v for name, v in chosen.items() if v is not None})
    except ValueError as error:
        raise ConfigError(f"--{str(error).replace('_', '-')}") from None
    settings = build_run(config)
    validate_devices(settings.train, settings.eval, jax.device_count())
    logging.set_verbosity(logging.INFO)
    with claim(Path(arguments.workdir)):
        dataset = settings.data.load(seed=settings.seed)
        prepare.check_data(settings, dataset)
        path = learn_margins(settings, Path(arguments.workdir), dataset, search)
    print(f"Policy: {path}\nTo use it: --config.method.policy={path}")
