"""What accelerators can do at best, what share of it a step reaches (MFU), and traces of steps."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
from absl import logging

# Dense bfloat16 multiply-adds counted as two operations, 1e12 a second and chip, as makers' data
# sheets print them, by the beginning of `jax.Device.device_kind`; longer names first.
PEAK_TERAFLOPS = {
    "NVIDIA H200": 989.0,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H100": 989.0,
    "NVIDIA B200": 2250.0,
    "NVIDIA A100": 312.0,
    "NVIDIA L40S": 362.0,
    "NVIDIA L4": 121.0,
    "NVIDIA GeForce RTX 4090": 165.0,
    "TPU v6 lite": 918.0,
    "TPU v5 lite": 197.0,
    "TPU v5p": 459.0,
    "TPU v5": 459.0,
    "TPU v4": 275.0,
}


def peak_flops(device_kind: str) -> float | None:
    """Operations a second of the chip in bfloat16; None for one that is not in the list.

    Args:
      device_kind: Name of the chip, as in `jax.devices()[0].device_kind`.
    """
    kinds = (kind for kind in PEAK_TERAFLOPS if device_kind.startswith(kind))
    return next((PEAK_TERAFLOPS[kind] * 1e12 for kind in kinds), None)


def step_flops(step: Callable[..., Any], *arguments: Any) -> float | None:
    """Operations of one call, all devices together, counted before XLA optimises the program.

    After that a GPU's matrix products are calls of libraries, whose operations XLA does not count.
    The body of a loop counts once, so a streamed class head counts too little; attention that
    cuDNN computes does not count.

    Args:
      step: Jitted function.
      arguments: Arrays, or their shapes.

    Returns:
      The count; None where the backend does not say.
    """
    costs = step.lower(*arguments).cost_analysis()  # type: ignore[attr-defined]
    return None if not costs or costs.get("flops", 0.0) <= 0 else float(costs["flops"])


class ChipReport:
    """How much of the accelerators a training uses; on CPUs, whose peak is not known, nothing.

    Args:
      step_with_frozen: Frozen parts -> the jitted step.
    """

    def __init__(self, step_with_frozen: Callable[[tuple[str, ...]], Any]):
        self._step_with_frozen = step_with_frozen
        self._flops: dict[tuple[str, ...], float | None] = {}
        self._frozen: tuple[str, ...] = ()
        self._counts = jax.default_backend() != "cpu"

    def see(self, frozen: tuple[str, ...], *arguments: Any) -> None:
        """Counts the operations of the step that comes, once for each set of frozen parts.

        Args:
          frozen: Parts that are frozen in it.
          arguments: What it is called with; called before, as a step takes its state.
        """
        self._frozen = frozen
        if self._counts and frozen not in self._flops:
            self._flops[frozen] = step_flops(self._step_with_frozen(frozen), *arguments)

    def scalars(self, steps_per_second: float) -> dict[str, float]:
        """What is logged.

        Args:
          steps_per_second: Speed since the last line.

        Returns:
          `teraflops_per_second` of all chips; `mfu`, its share of what the chips can do at best in
          bfloat16, where that is known; `device_memory_gib`, the most that the first chip of this
          process has held, where the backend says.
        """
        logged: dict[str, float] = {}
        device = jax.local_devices()[0]
        if flops := self._flops.get(self._frozen):
            logged["teraflops_per_second"] = flops * steps_per_second / 1e12
            if peak := peak_flops(device.device_kind):
                logged["mfu"] = flops * steps_per_second / (peak * jax.device_count())
        if held := (device.memory_stats() or {}).get("peak_bytes_in_use"):
            logged["device_memory_gib"] = held / 2**30
        return logged


class Trace:
    """A profiler trace of some steps, for TensorBoard's profile plugin or Perfetto.

    The process's first ten steps, in which programs are compiled and caches filled, are left out
    where enough others follow.

    Args:
      folder: Where it goes.
      after: The last step of an earlier process, or 0.
      last: The last step of the run.
      steps: How many are traced; 0 writes no trace.
    """

    def __init__(self, folder: Path, *, after: int, last: int, steps: int):
        self._folder, self._steps = folder, min(steps, last - after)
        self._first = min(after + 11, last - self._steps + 1)
        self._runs = False

    def __enter__(self) -> "Trace":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def before(self, step: int) -> None:
        """Starts or ends the trace; called before each step."""
        if self._steps and step == self._first:
            jax.profiler.start_trace(self._folder)
            self._runs = True
        elif step == self._first + self._steps:
            self._stop()

    def _stop(self) -> None:
        if self._runs:
            jax.effects_barrier()
            jax.profiler.stop_trace()
            self._runs = False
            logging.info("A trace of %d steps is in %s.", self._steps, self._folder)
