"""Builders of the `eval.protocol` section."""

from typing import Any

from ml_collections import ConfigDict


def attribute_protocol(**changes: Any) -> ConfigDict:
    """The `eval.protocol` section of attribute models: the UTKFace study's readings."""
    section = dict(
        name="utkface",
        group_by="race",  # the attribute whose groups are compared
        resamples=2000,  # of the cluster bootstrap
        level=0.95,  # coverage of the intervals
        gender_positive=1,  # class number that counts as positive in FPR and FNR
        age_rate="threshold",  # or ovr_macro, ovr_weighted, ovr_micro: how age gets an FPR
        age_positive_from=30.0,  # years; for age_rate="threshold"
        age_bins=(0, 10, 20, 30, 40, 50, 60),  # lower edges in years; the last bin is open
    )
    return ConfigDict({**section, **changes})


def contrastive_protocol(**changes: Any) -> ConfigDict:
    """The `eval.protocol` section of contrastive pre-training: loss and spread by group."""
    section = dict(name="contrastive", group_by="race", resamples=2000, level=0.95)
    return ConfigDict({**section, **changes})


def reconstruction_protocol(**changes: Any) -> ConfigDict:
    """The `eval.protocol` section of masked autoencoders: their error by group."""
    section = dict(name="reconstruction", group_by="race", resamples=2000, level=0.95)
    return ConfigDict({**section, **changes})


def lfw_protocol(**changes: Any) -> ConfigDict:
    """The `eval.protocol` section of LFW-style pairs, phantom ones too."""
    section = dict(
        name="lfw",
        group_by="group",  # the attribute whose groups are compared
        accuracy="exact",  # see protocols.accuracy.VARIANTS
        fmrs=(1e-2, 1e-3),  # overall false match rates to read error rates at
        tolerance=0.0,  # largest ratio accepted between groups' rates, 1 or more; 0: no verdicts
        bias_fmrs=(),  # overall FMRs over all pairs of the images, for the spread over people
        resamples=2000,
        level=0.95,
    )
    return ConfigDict({**section, **changes})


def rfw_protocol(**changes: Any) -> ConfigDict:
    """The `eval.protocol` section of RFW, bias degree as in the FPR penalty paper's Table 5."""
    section = dict(
        name="rfw",
        group_by="race",
        accuracy="rfw_official",
        all_accuracies=True,
        fmrs=(1e-2, 1e-3),
        tolerance=0.0,
        bias_fmrs=(1e-5, 1e-4, 1e-3, 1e-2),
        bias_pool="all_pairs",  # where its thresholds come from
        bias_threshold=0.0,  # for bias_pool="fixed"
        bias_pairs="protocol",  # whose FMR spreads
        bias_denominator="target",
        bias_ddof=1,
        bias_scale="ratio",
        resamples=2000,
        level=0.95,
    )
    return ConfigDict({**section, **changes})


def bfw_protocol(**changes: Any) -> ConfigDict:
    """The `eval.protocol` section of BFW, bias degree as in the FPR penalty paper's Table 6."""
    section = rfw_protocol(
        name="bfw",
        group_by="subgroup",
        accuracy="insightface",
        bias_fmrs=(1e-7, 1e-6, 1e-5, 1e-4, 1e-3),
        bias_pairs="within_group_all",
    ).to_dict()
    del section["all_accuracies"]  # RFW's
    return ConfigDict({**section, **changes})
