"""The benchmarks of pairs that a face model can be tested on."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from fairjax.data import bfw, lfw, rfw
from fairjax.data.faces import Benchmark
from fairjax.data.phantom import benchmark as phantom_benchmark

BENCHMARKS: dict[str, Callable[..., Benchmark]] = {
    "bfw": bfw.load,
    "lfw": lfw.load,
    "phantom": phantom_benchmark.load,
    "rfw": rfw.load,
}
# Each loader's settings, without the seed: refused, if wrong, before a file is touched.
BENCHMARK_CHECKS: dict[str, Callable[..., None]] = {
    "bfw": bfw.check,
    "lfw": lfw.check,
    "phantom": phantom_benchmark.check,
    "rfw": rfw.check,
}


def open_benchmark(settings: Mapping[str, Any], *, seed: int) -> Benchmark:
    """Reads the benchmark that `settings` describes.

    Args:
      settings: Its `name`, a key of BENCHMARKS, and the loader's keyword arguments.
      seed: Of what is drawn.

    Raises:
      DataError: If its files are missing or cannot be used.
    """
    rest = {key: value for key, value in settings.items() if key != "name"}
    return BENCHMARKS[settings["name"]](seed=seed, **rest)


def check_benchmark(settings: Mapping[str, Any]) -> None:
    """Refuses settings that `open_benchmark` would refuse, before a file is touched.

    Raises:
      ValueError: Names the setting and says what it may be.
    """
    rest = dict(settings)
    name = rest.pop("name", None)
    if name not in BENCHMARKS:
        raise ValueError(
            f"config.data.benchmark.name={name!r} is not known; known: {', '.join(BENCHMARKS)}."
        )
    wanted = set(inspect.signature(BENCHMARK_CHECKS[name]).parameters)
    if rest.keys() != wanted:
        raise ValueError(
            f"config.data.benchmark has the settings {', '.join(sorted(rest)) or 'none'}; "
            f"{name!r} takes: {', '.join(sorted(wanted))}."
        )
    BENCHMARK_CHECKS[name](**rest)
