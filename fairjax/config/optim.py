"""Builders of the `optim.algorithm` and `optim.schedule` sections."""

from ml_collections import ConfigDict


def sgd(*, momentum: float = 0.9, nesterov: bool = False) -> ConfigDict:
    """SGD with momentum; weight decay joins the gradient before the momentum (coupled L2)."""
    return ConfigDict(dict(name="sgd", momentum=momentum, nesterov=nesterov))


def adamw(*, b1: float = 0.9, b2: float = 0.999) -> ConfigDict:
    """Adam with decoupled weight decay."""
    return ConfigDict(dict(name="adamw", b1=b1, b2=b2))


def lars(*, momentum: float = 0.9, trust_coefficient: float = 1e-3) -> ConfigDict:
    """Layer-wise adaptive rates for SGD at large batches."""
    return ConfigDict(dict(name="lars", momentum=momentum, trust_coefficient=trust_coefficient))


def lamb(*, b1: float = 0.9, b2: float = 0.999) -> ConfigDict:
    """Layer-wise adaptive rates for Adam at large batches."""
    return ConfigDict(dict(name="lamb", b1=b1, b2=b2))


def cosine(*, warmup_epochs: float = 0.0, final_factor: float = 0.0) -> ConfigDict:
    """Linear warm-up, then half a cosine down to `final_factor` times the peak."""
    return ConfigDict(dict(name="cosine", warmup_epochs=warmup_epochs, final_factor=final_factor))


def steps(
    at_epochs: tuple[float, ...], *, factor: float = 0.1, warmup_epochs: float = 0.0
) -> ConfigDict:
    """Linear warm-up, then the rate times `factor` at each of `at_epochs`."""
    return ConfigDict(
        dict(name="steps", at_epochs=at_epochs, factor=factor, warmup_epochs=warmup_epochs)
    )
