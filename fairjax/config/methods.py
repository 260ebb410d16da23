"""Builders of the `method` section: losses, margins, class heads and tasks."""

from typing import Any

from ml_collections import ConfigDict


def cosine_margin(
    margin: ConfigDict,
    *,
    head: ConfigDict | None = None,
    label: str = "identity",
    tta: str = "sum",
) -> ConfigDict:
    """The `method` section of a face embedding by margin softmax."""
    section = dict(margin=margin, head=head or class_head(), label=label, tta=tta)
    return ConfigDict({"name": "cosine_margin", **section})


def fpr_penalty(
    margin: ConfigDict | None = None,
    *,
    variant: str = "paper",
    head: ConfigDict | None = None,
    **changes: Any,
) -> ConfigDict:
    """The `method` section of a margin softmax, CosFace by default, with the FPR penalty."""
    section = dict(
        margin=margin or cosface(),
        head=head or class_head(),
        variant=variant,  # paper, tface (the authors' release) or mean_sq (MixFairFace's)
        gamma_u=1e-4 if variant == "paper" else 0.0,  # FPR of the batch; 0 is 1/(classes - 1)
        alpha=1.0,  # strength, of paper alone; the paper does not print its value
        alpha_mode="constant",  # or one_plus_target: alpha (1 + target cosine)
        power=2.0,  # of the selected cosines, of paper alone
        label="identity",
        tta="sum",  # with the mirror image: sum, concat or none
        log_groups="group",  # rates are logged by this attribute; it never enters the loss
    )
    return ConfigDict({"name": "fpr_penalty", **section, **changes})


def class_head(name: str = "dense", *, chunk: int = 8192, rate: float = 0.1) -> ConfigDict:
    """The `head` of these two: how the class weights lie over devices, and are walked.

    With many classes "streamed" has the least memory; `train.head_shards` splits all but "dense".
    """
    section = dict(
        name=name,  # or sharded, streamed, sampled (PartialFC)
        chunk=chunk,  # classes at a time, of streamed alone
        rate=rate,  # share of the classes in a step, of sampled alone
    )
    return ConfigDict(section)


def softmax(*, scale: float = 64.0) -> ConfigDict:
    """No margin: softmax on normalised embeddings and weights."""
    return ConfigDict(dict(name="softmax", scale=scale))


def cosface(*, margin: float = 0.35, scale: float = 64.0) -> ConfigDict:
    """CosFace; the fairness papers use 0.35, others 0.4."""
    return ConfigDict(dict(name="cosface", margin=margin, scale=scale))


def arcface(
    *, margin: float = 0.5, scale: float = 64.0, fallback: str = "linear", grad: str = "exact"
) -> ConfigDict:
    """ArcFace; fallback linear, easy or none; grad exact or straight_through."""
    return ConfigDict(
        dict(name="arcface", margin=margin, scale=scale, fallback=fallback, grad=grad)
    )


def curricularface(
    *, margin: float = 0.5, scale: float = 64.0, momentum: float = 0.01
) -> ConfigDict:
    """CurricularFace; momentum 0.01 is the authors', 0.1 TFace's."""
    return ConfigDict(dict(name="curricularface", margin=margin, scale=scale, momentum=momentum))


def adaface(
    *,
    margin: float = 0.4,
    scale: float = 64.0,
    concentration: float = 0.333,
    momentum: float = 0.01,
) -> ConfigDict:
    """AdaFace."""
    section = dict(margin=margin, scale=scale, concentration=concentration, momentum=momentum)
    return ConfigDict({"name": "adaface", **section})


def magface(
    *,
    scale: float = 64.0,
    low: float = 10.0,
    high: float = 110.0,
    low_margin: float = 0.45,
    high_margin: float = 0.8,
    weight: float = 35.0,
) -> ConfigDict:
    """MagFace."""
    lengths = dict(low=low, high=high, low_margin=low_margin, high_margin=high_margin)
    return ConfigDict({"name": "magface", "scale": scale, **lengths, "weight": weight})


def regress(attribute: str, *, weight: float = 1.0, loss: str = "mse") -> ConfigDict:
    """A task: the number `attribute`, standardised by the training split's mean and deviation."""
    return ConfigDict(dict(kind="regression", attribute=attribute, weight=weight, loss=loss))


def classes(attribute: str, *, weight: float = 1.0) -> ConfigDict:
    """A task: the class `attribute`, by cross-entropy."""
    return ConfigDict(dict(kind="classes", attribute=attribute, weight=weight))


def bins(attribute: str, *, edges: tuple[float, ...], weight: float = 1.0) -> ConfigDict:
    """A task: the bin of a number, by cross-entropy; an edge belongs to the bin above it."""
    return ConfigDict(dict(kind="bins", attribute=attribute, edges=edges, weight=weight))


def masked_autoencoder(**changes: Any) -> ConfigDict:
    """The `method` section of masked autoencoding, on a ViT."""
    section = dict(
        name="masked_autoencoder",
        decoder_dim=128,
        decoder_depth=4,
        decoder_heads=4,
        ratio=0.75,  # share of the patches removed
        scheme="random",  # or mask_sensitive, mask_nonsensitive
        sensitivity="",  # the map's .npz, or the folder of its run, for these two
        strength=1.0,  # 0 is random, inf always removes the same patches
        weights="value",  # or rank
        reverse="neg_log",  # or reflect
        scope="batch",  # or image: who shares a mask
        normalise_target=True,
    )
    return ConfigDict({**section, **changes})


def time_frequency(*, objective: str = "code", **changes: Any) -> ConfigDict:
    """The `method` section of time-frequency pre-training, on a TFC."""
    section = dict(
        name="time_frequency",
        objective=objective,  # or paper: hinges stand for consistency
        within=0.2
        if objective == "code"
        else 0.5,  # weight of the losses within time and frequency
        across=1.0 if objective == "code" else 0.5,  # weight of the consistency
        margin=1.0,  # of the hinges
        temperature=0.2,
        poly=False,
        frequency_view="perturb",  # or second: the second view's spectrum
        share=0.1,  # of the components of a spectrum that are perturbed
        strength=0.1,  # of what is added to one, as a share of the largest
        joint_norm=False,  # whether both views share batch statistics
    )
    return ConfigDict({**section, **changes})


def simclr(**changes: Any) -> ConfigDict:
    """The `method` section of SimCLR, on any backbone."""
    section = dict(name="simclr", projection=128, temperature=0.2, joint_norm=False)
    return ConfigDict({**section, **changes})
