"""All that is known about the config tree: its keys, its arguments, its checks.

Nothing here imports JAX or TensorFlow, so a wrong config is refused before a device is touched.
"""

import difflib
import functools
import inspect
import runpy
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

from ml_collections import ConfigDict

from fairjax.plan import Claim as Claim
from fairjax.plan import Column as Column
from fairjax.plan import Row as Row
from fairjax.plan import Study as Study
from fairjax.plan import Thesis as Thesis

T = TypeVar("T")


class ConfigError(ValueError):
    """The config asks for something impossible; the message says what to type instead."""


# Keys that may differ between a run and its resumption: they change no number.
FREE_TO_CHANGE = (
    "data.root",
    "data.benchmark.root",
    "input.cache_mb",
    "method.head.chunk",
    "train.head_shards",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep_last",
    "train.tensorboard",
)


def base_config() -> ConfigDict:
    """Every key the project knows, locked: the multitask ResNet-50 on generated faces.

    Sections that have a `name` are replaced whole by a config file; the other keys of such a
    section are the keyword arguments of the thing it names. Lengths are in epochs of the training
    split.
    """
    config = ConfigDict()
    config.seed = 0  # the one root of all randomness: order, augmentation, initialisation, dropout
    config.title = ""  # the report's heading; "" takes the config file's name

    config.data = phantom()
    config.input = ConfigDict(
        dict(
            image_size=64,  # pixels, height = width
            normalise="imagenet",  # imagenet: channel mean and deviation; half: (x/255 - 0.5)/0.5
            cache_mb=4096,  # decoded images stay in memory up to this size
            balance="",  # a label whose classes come equally often, such as identity or group
            augment=no_augmentation(),
            views=1,  # 2 for methods that compare two views of an image
            second_augment=no_augmentation(),  # of the second view
            # Covers patches of every image, in training and in evaluation; sensitivity="" is off.
            hide=dict(sensitivity="", ratio=0.25, direction="sensitive", value="mean"),
        )
    )
    config.backbone = ConfigDict(dict(name="resnet", depth=50, stem="imagenet", width=64))
    # Start from another run's folder, or from a file of a ViT or MAE as timm, DeiT and MAE name it:
    # its "backbone" (or another module), or "all".
    config.init = ConfigDict(dict(run="", part="backbone"))
    config.compute_dtype = "float32"  # or bfloat16; parameters, logits and losses stay float32

    config.method = ConfigDict(
        dict(
            name="classify",
            tasks=dict(
                age=regress("age"),
                gender=classes("gender"),
                group=classes("group"),
            ),
            label_smoothing=0.0,
            dropout=0.0,  # on the pooled features
            hidden=0,  # width of a sigmoid layer between features and heads; 0 is none
            save_features=False,  # among the predictions, for `fairjax similarity`
            mixup=0.0,  # parameter of the Beta that images are blended by; 0 is off
        )
    )
    config.optim = ConfigDict(
        dict(
            algorithm=adamw(),
            peak_lr=3e-4,  # at the global batch size; not scaled behind your back
            weight_decay=0.05,
            decay_norms=False,  # True decays biases and normalisation scales too (face recipes)
            clip_norm=0.0,  # global gradient norm; 0 is off
            layer_decay=1.0,  # factor of the rate for each block further down; 1 is off
            # Parts that stay as they are, in inference mode: ("backbone",) is a linear probe. A
            # part is a path of parameters; * stands for anything, | between alternatives.
            freeze=(),
            # Parts that are frozen at first and released one by one, in this order.
            unfreeze=dict(parts=(), every_epochs=5.0, factor=0.3),  # factor of the rate for each
            schedule=cosine(warmup_epochs=5.0),
        )
    )
    config.train = ConfigDict(
        dict(
            epochs=60.0,
            batch_size=128,  # the global batch, over all devices and processes
            accumulate=1,  # micro-batches a step
            head_shards=1,  # devices that the class weights of a split head lie on
            ema_decay=0.0,  # evaluate an average of the weights; 0 is off
            log_every=20,  # steps
            evaluate_every=1.0,  # epochs between looks at the validation split
            checkpoint_every=300.0,  # seconds
            keep_last=2,
            keep_best=1,
            best_metric="loss",  # of the validation split; *loss and *mae are minimised
            patience=0,  # stop after so many evaluations without a better best_metric; 0 is off
            tensorboard=True,
        )
    )
    config.eval = ConfigDict(
        dict(
            batch_size=256,
            weights="last",  # or best: the checkpoint with the best validation metric
            protocol=attribute_protocol(group_by="group"),
            published="",  # resnet50 or tfc prints the source's numbers beside ours
            # Where a ViT that classifies this attribute looks, as sensitivity.npz; "" is off.
            sensitivity=dict(
                attribute="",
                source="cls",  # or mean_query, rollout
                layers="all",  # or last
                images="all",  # or correct: those that it classifies rightly
                symmetrise=False,  # the mean with its mirror image
            ),
        )
    )
    return config.lock()


def phantom(**changes: Any) -> ConfigDict:
    """The `data` section of generated faces."""
    section = dict(
        name="phantom",
        root="",
        image_size=64,
        identities=1000,
        images_per_identity=6,
        split=(0.7, 0.1, 0.2),  # shares of train, validation, test
        differential=dict(kind="none", group="amber", size=0.0),
    )
    return ConfigDict({**section, **changes})


def utkface(**changes: Any) -> ConfigDict:
    """The `data` section of UTKFace: a folder, a nested folder or a .tar."""
    section = dict(
        name="utkface",
        root="",
        split=dict(ratio=(0.8, 0.1, 0.1), stratify=True, dedup="group"),
        on_error="skip",
        max_bad=0.01,
    )
    return ConfigDict({**section, **changes})


def identities(**changes: Any) -> ConfigDict:
    """The `data` section of a tree of people to train on: one folder a person, or a .tar."""
    section = dict(
        name="identities",
        root="",
        groups="",  # or folder (above the person's), or a table with the columns identity, group
        min_images=2,  # people with fewer are left out
        max_images=0,  # of a person with more this many are kept; 0 keeps all
        held_out=200,  # people kept for validation
        overlap="refuse",  # or drop, allow: people who are also in the benchmark
        on_error="skip",
        max_bad=0.01,
        benchmark=phantom_pairs(),
    )
    return ConfigDict({**section, **changes})


def bupt(**changes: Any) -> ConfigDict:
    """The `data` section of BUPT-Balancedface or BUPT-Globalface: folders, a .tar, or records."""
    section = identities(name="bupt", overlap="drop", held_out=400, benchmark=rfw()).to_dict()
    del section["groups"]  # the release tells them
    return ConfigDict({**section, **changes})


def phantom_identities(**changes: Any) -> ConfigDict:
    """The `data` section of generated people to train on."""
    section = dict(
        name="phantom_identities",
        root="",
        image_size=64,
        identities=1000,  # those held out included
        images_per_identity=8,
        held_out=160,
        differential=dict(kind="none", group="amber", size=0.0),
        benchmark=phantom_pairs(),
    )
    return ConfigDict({**section, **changes})


def phantom_pairs(**changes: Any) -> ConfigDict:
    """The `data.benchmark` section of generated people whom nobody was trained on."""
    section = dict(
        name="phantom",
        root="",
        image_size=64,
        identities=400,
        images_per_identity=5,
        folds=10,
        pairs_per_fold=60,  # mated ones of each group in each part, and as many non-mated ones
        differential=dict(kind="none", group="amber", size=0.0),
    )
    return ConfigDict({**section, **changes})


def lfw(**changes: Any) -> ConfigDict:
    """The `data.benchmark` section of LFW-style pairs: a tree of people, and lists of pairs."""
    section = dict(
        name="lfw",
        root="",
        pairs="",  # one list, or a folder of <Group>_pairs.txt
        groups="",  # for one list: a table with the columns identity, group
        folds=(),  # the parts used, counted from 1; () is all
        on_error="raise",  # or skip: lines that cannot be used
    )
    return ConfigDict({**section, **changes})


def rfw(**changes: Any) -> ConfigDict:
    """The `data.benchmark` section of RFW: the release's folder or .tar, or a folder of .bin."""
    section = dict(
        name="rfw",
        root="",
        align=True,  # the release's images, by the landmarks in its lists
        on_error="raise",  # or skip: pairs that cannot be used
    )
    return ConfigDict({**section, **changes})


def bfw(**changes: Any) -> ConfigDict:
    """The `data.benchmark` section of BFW: the folder of subgroups and the table of pairs."""
    section = dict(
        name="bfw",
        root="",
        pairs="",  # the table; "" finds the only one in `root`
        on_error="raise",  # or skip: pairs that cannot be used
    )
    return ConfigDict({**section, **changes})


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


def no_augmentation() -> dict[str, Any]:
    """Every augmentation, off."""
    return dict(
        flip=0.0,  # probability of a left-right mirror
        rotation_degrees=0.0,  # uniform in [-this, this], black outside
        crop_scale=(1.0, 1.0),  # share of the area kept, uniform in this range
        crop_ratio=(1.0, 1.0),  # width over height of the crop
        shift=0.0,  # along each axis, a share of the side, uniform in [-this, this]
        brightness=0.0,
        contrast=0.0,
        saturation=0.0,
        grey=0.0,  # probability of a grey image
    )


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


def iresnet(
    depth: int = 34,
    *,
    dialect: str = "tface",
    dropout: float = 0.4,
    width: int = 64,
    dim: int = 512,
) -> ConfigDict:
    """The `backbone` section of face recognition; width and dim shrink it for reduced runs."""
    section = dict(depth=depth, dialect=dialect, dropout=dropout, width=width, dim=dim)
    return ConfigDict({"name": "iresnet", **section})


def regress(attribute: str, *, weight: float = 1.0, loss: str = "mse") -> ConfigDict:
    """A task: the number `attribute`, standardised by the training split's mean and deviation."""
    return ConfigDict(dict(kind="regression", attribute=attribute, weight=weight, loss=loss))


def classes(attribute: str, *, weight: float = 1.0) -> ConfigDict:
    """A task: the class `attribute`, by cross-entropy."""
    return ConfigDict(dict(kind="classes", attribute=attribute, weight=weight))


def bins(attribute: str, *, edges: tuple[float, ...], weight: float = 1.0) -> ConfigDict:
    """A task: the bin of a number, by cross-entropy; an edge belongs to the bin above it."""
    return ConfigDict(dict(kind="bins", attribute=attribute, edges=edges, weight=weight))


def vit(size: str = "tiny", **changes: Any) -> ConfigDict:
    """The `backbone` section of a Vision Transformer: tiny, small, base or large."""
    dim, depth, heads = {
        "tiny": (192, 12, 3),
        "small": (384, 12, 6),
        "base": (768, 12, 12),
        "large": (1024, 24, 16),
    }[size]
    section = dict(
        name="vit",
        dim=dim,
        depth=depth,
        heads=heads,
        patch=16,
        pool="cls",  # or mean: of the patch tokens; masked_autoencoder sets its own
        positions="learned",  # or sincos
        drop_path=0.0,
        dropout=0.0,
    )
    return ConfigDict({**section, **changes})


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


def tfc(**changes: Any) -> ConfigDict:
    """The `backbone` section of the time-frequency model."""
    section = dict(
        name="tfc",
        depth=18,  # of the convolutional trunk
        width=64,
        stem="imagenet",  # or small
        stages=4,
        dim=256,  # of a token
        layers=2,
        heads=2,
        hidden=512,
        dropout=0.1,
        projection=128,
        transform="grid",  # or sequence: what the Fourier transform runs over
        transform_norm="ortho",  # or backward, forward
        half=False,  # True leaves out the frequencies that mirror others
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


def study(config: ConfigDict, plan: Study) -> ConfigDict:
    """The config of a study: what its runs share, and its plan."""
    with config.unlocked():
        config.study = plan
    return config


def load(file_and_arg: str) -> ConfigDict:
    """The config of `FILE[:arg]`.

    Raises:
      ConfigError: If the file is missing or broken, or does not know the argument.
    """
    file, _, arg = file_and_arg.partition(":")
    try:
        get_config = runpy.run_path(file).get("get_config")
        if get_config is None:
            raise ConfigError(f"config file {file!r} has no function get_config(arg).")
        return get_config(arg)
    except FileNotFoundError:
        raise ConfigError(f"config file {file!r} is not there; see the folder configs/.") from None
    except ConfigError:
        raise
    except Exception as error:  # whatever a config file may raise, its own line says where
        raise ConfigError(f"config file {file!r} fails: {error!r}.") from error


def parse_arg(arg: str, **defaults: Any) -> SimpleNamespace:
    """Reads what follows the colon of `--config FILE:arg`: words and `key=value`, comma-separated.

    Args:
      arg: For example `"small,seed=3"`.
      **defaults: Every word the config file knows with its default; a bare word sets a bool.

    Raises:
      ConfigError: On a word that is not in `defaults`, or a value of another type.
    """
    values = dict(defaults)
    for word in filter(None, (part.strip() for part in arg.split(","))):
        key, equals, text = word.partition("=")
        if key not in defaults:
            known = ", ".join(k if v is False else f"{k}=..." for k, v in defaults.items())
            raise ConfigError(f"config argument {key!r} is not known; this config knows: {known}.")
        default = defaults[key]
        if isinstance(default, bool):
            if equals and text not in ("true", "false"):
                raise ConfigError(f"config argument {key} takes true or false, not {text!r}.")
            values[key] = text != "false"
            continue
        try:
            values[key] = type(default)(text)
        except ValueError:
            raise ConfigError(
                f"config argument {key}={text!r} is not a valid {type(default).__name__}; "
                f"write for example {key}={default}."
            ) from None
    return SimpleNamespace(**values)


def validate(config: ConfigDict, *, device_count: int | None = None) -> None:
    """Refuses impossible values, in one line that says what to type instead.

    Args:
      config: The resolved config.
      device_count: Devices over all processes; None skips what depends on them, so that the rest
        can be checked before a device is touched.

    Raises:
      ConfigError: On the first wrong value.
    """
    train, optim, data_input, evaluation = config.train, config.optim, config.input, config.eval

    def need(ok: bool, key: str, value: Any, rule: str) -> None:
        if not ok:
            raise ConfigError(f"config.{key}={value!r} must be {rule}.")

    def one_of(key: str, value: str, known: tuple[str, ...]) -> None:
        need(value in known, key, value, "one of " + ", ".join(map(repr, known)))

    for key, value in (
        ("train.epochs", train.epochs),
        ("train.batch_size", train.batch_size),
        ("train.accumulate", train.accumulate),
        ("train.head_shards", train.head_shards),
        ("train.log_every", train.log_every),
        ("train.evaluate_every", train.evaluate_every),
        ("train.keep_last", train.keep_last),
        ("optim.peak_lr", optim.peak_lr),
        ("eval.batch_size", evaluation.batch_size),
        ("input.image_size", data_input.image_size),
    ):
        need(value > 0, key, value, "above 0")
    for key, value in (
        ("seed", config.seed),
        ("optim.weight_decay", optim.weight_decay),
        ("optim.clip_norm", optim.clip_norm),
        ("optim.schedule.warmup_epochs", optim.schedule.warmup_epochs),
        ("train.checkpoint_every", train.checkpoint_every),
        ("train.keep_best", train.keep_best),
        ("train.patience", train.patience),
        ("eval.protocol.resamples", evaluation.protocol.resamples),
        ("input.cache_mb", data_input.cache_mb),
    ):
        need(value >= 0, key, value, "0 or more")
    need(0 <= train.ema_decay < 1, "train.ema_decay", train.ema_decay, "at least 0 and below 1")
    level = evaluation.protocol.level
    need(0 < level < 1, "eval.protocol.level", level, "between 0 and 1, such as 0.95")
    need(
        optim.schedule.warmup_epochs <= train.epochs,
        "optim.schedule.warmup_epochs",
        optim.schedule.warmup_epochs,
        f"at most config.train.epochs={train.epochs}",
    )
    need(
        train.batch_size % train.accumulate == 0,
        "train.batch_size",
        train.batch_size,
        f"a multiple of config.train.accumulate={train.accumulate}",
    )
    need(data_input.views in (1, 2), "input.views", data_input.views, "1 or 2")
    release = optim.unfreeze
    need(release.every_epochs > 0, "optim.unfreeze.every_epochs", release.every_epochs, "above 0")
    need(0 < release.factor <= 1, "optim.unfreeze.factor", release.factor, "in (0, 1]")
    one_of("compute_dtype", config.compute_dtype, ("float32", "bfloat16"))
    one_of("input.normalise", data_input.normalise, ("imagenet", "half"))
    one_of("input.hide.direction", data_input.hide.direction, ("sensitive", "nonsensitive"))
    one_of("input.hide.value", data_input.hide.value, ("mean", "black"))
    need(0 < optim.layer_decay <= 1, "optim.layer_decay", optim.layer_decay, "in (0, 1]")
    one_of("eval.weights", evaluation.weights, ("last", "best"))
    looks = evaluation.sensitivity
    one_of("eval.sensitivity.source", looks.source, ("cls", "mean_query", "rollout"))
    one_of("eval.sensitivity.layers", looks.layers, ("all", "last"))
    one_of("eval.sensitivity.images", looks.images, ("all", "correct"))
    if evaluation.weights == "best":
        need(train.keep_best > 0, "train.keep_best", train.keep_best, "1 for eval.weights='best'")

    if device_count is None:
        return
    need(
        device_count % train.head_shards == 0,
        "train.head_shards",
        train.head_shards,
        f"a divisor of the {device_count} devices",
    )
    for key, size, parts in (
        ("train.batch_size", train.batch_size, device_count * train.accumulate),
        ("eval.batch_size", evaluation.batch_size, device_count),
    ):
        if size % parts:
            what = f"the {device_count} devices"
            if parts != device_count:
                what += f" times {train.accumulate} micro-batches"
            nearest = -(-size // parts) * parts
            raise ConfigError(f"config.{key}={size} must be a multiple of {what}; try {nearest}.")


def bind_section(
    registry: Mapping[str, Callable[..., T]],
    section: ConfigDict,
    where: str,
    *,
    given: Collection[str],
) -> "functools.partial[T]":
    """What `section.name` names, with the section's other keys bound as keyword arguments.

    This is the one door between the config tree and plain functions.

    Args:
      registry: The room's dict literal.
      section: A section with a `name`.
      where: Its path, such as "config.method", for messages.
      given: Names of the arguments that the program supplies when it calls the answer.

    Raises:
      ConfigError: If the name is unknown, or the keys are not the function's arguments.
    """
    arguments = section.to_dict()
    name = arguments.pop("name")
    if name not in registry:
        raise ConfigError(
            f"{where}.name={name!r} is not known; {_suggest(name, registry)}"
            f"known: {', '.join(sorted(registry))}."
        )
    parameters = inspect.signature(registry[name]).parameters
    # What a config may set; linen adds `parent` and `name` to every module.
    settings = {key for key in parameters if key not in {*given, "parent", "name"}}
    for key in arguments.keys() - settings:
        raise ConfigError(
            f"{where}.{key} is not a setting of {name!r}; {_suggest(key, settings)}"
            f"known: {', '.join(sorted(settings))}."
        )
    for key in sorted(settings - arguments.keys()):
        if parameters[key].default is inspect.Parameter.empty:
            raise ConfigError(f"{where}.{key} is missing; {name!r} needs it: add it to the config.")
    return functools.partial(registry[name], **arguments)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Lines `key: old -> new` for what differs and matters to a run's numbers.

    A key that the old config lacks is one that FairJAX had not yet; its default does what was done
    then, so that only another value differs.
    """
    later = {"method": {"head": class_head().to_dict()}}  # younger than the methods that have it
    defaults = dict(_leaves(base_config().to_dict())) | dict(_leaves(later))
    left, right = dict(_leaves(old)), dict(_leaves(new))
    left |= {key: defaults[key] for key in right.keys() - left.keys() if key in defaults}
    return [
        f"{key}: {left.get(key, 'absent')!r} -> {right.get(key, 'absent')!r}"
        for key in sorted(left.keys() | right.keys())
        if left.get(key, _ABSENT) != right.get(key, _ABSENT) and key not in FREE_TO_CHANGE
    ]


def keys(config: ConfigDict) -> list[str]:
    """Every key of the tree as a dotted path."""
    return [key for key, _ in _leaves(config.to_dict())]


def leaf(config: ConfigDict, path: str) -> Any:
    """The value at a dotted path."""
    return functools.reduce(ConfigDict.__getitem__, path.split("."), config)


def suggest_key(config: ConfigDict, path: str) -> str:
    """For a mistyped `a.b.c`: "did you mean 'a.b.d'?"; else the keys beside it."""
    near = _suggest(path, keys(config)).strip()
    if near:
        return near
    section = path.rpartition(".")[0]
    beside = [key for key in keys(config) if key.rpartition(".")[0] == section]
    return f"known there: {', '.join(beside)}." if beside else "see fairjax/config.py for the keys."


_ABSENT = object()


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value


def _suggest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""
