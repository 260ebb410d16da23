"""What is optimised: one module a recipe."""

from collections.abc import Callable

from fairjax.core.types import Method
from fairjax.methods import (
    adversarial_removal,
    automae,
    classify,
    cosine_margin,
    debface,
    descon,
    fair_mixup,
    fpr_penalty,
    gabn,
    gac,
    gap_penalty,
    group_dro,
    ic_ffr,
    invreg,
    labelless_face,
    masked_autoencoder,
    mixfairface,
    pfe,
    reweighting,
    rl_rbn,
    simclr,
    time_frequency,
    uss,
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
    "descon": descon.build,
    "fair_mixup": fair_mixup.build,
    "fpr_penalty": fpr_penalty.build,
    "gabn": gabn.build,
    "gac": gac.build,
    "gap_penalty": gap_penalty.build,
    "group_dro": group_dro.build,
    "ic_ffr": ic_ffr.build,
    "invreg": invreg.build,
    "labelless_face": labelless_face.build,
    "masked_autoencoder": masked_autoencoder.build,
    "mixfairface": mixfairface.build,
    "pfe": pfe.build,
    "reweighting": reweighting.build,
    "rl_rbn": rl_rbn.build,
    "simclr": simclr.build,
    "time_frequency": time_frequency.build,
    "uss": uss.build,
    "vicreg": vicreg.build,
}
