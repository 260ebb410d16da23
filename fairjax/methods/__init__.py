"""What is optimised: one module a recipe."""

from collections.abc import Callable

from fairjax.core.types import Method
from fairjax.methods import (
    adversarial_removal,
    automae,
    classify,
    cosine_margin,
    debface,
    fpr_penalty,
    gabn,
    gac,
    gap_penalty,
    group_dro,
    invreg,
    masked_autoencoder,
    pfe,
    reweighting,
    simclr,
    time_frequency,
    vicreg,
)

# Arguments that the program supplies; a config sets the others.
SUPPLIED = ("backbone", "targets", "preprocess")
METHODS: dict[str, Callable[..., Method]] = {
    "adversarial_removal": adversarial_removal.build,
    "automae": automae.build,
    "classify": classify.build,
    "cosine_margin": cosine_margin.build,
    "debface": debface.build,
    "fpr_penalty": fpr_penalty.build,
    "gabn": gabn.build,
    "gac": gac.build,
    "gap_penalty": gap_penalty.build,
    "group_dro": group_dro.build,
    "invreg": invreg.build,
    "masked_autoencoder": masked_autoencoder.build,
    "pfe": pfe.build,
    "reweighting": reweighting.build,
    "simclr": simclr.build,
    "time_frequency": time_frequency.build,
    "vicreg": vicreg.build,
}
