"""What accelerators can do at best, and what share of it a step reaches (MFU)."""

from collections.abc import Callable
from typing import Any

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
