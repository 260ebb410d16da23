"""The config tree with its defaults, and how a config file is read."""

import difflib
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ml_collections import ConfigDict

from fairjax.config.data import phantom
from fairjax.config.methods import classes, regress
from fairjax.config.optim import adamw, cosine
from fairjax.config.protocols import attribute_protocol
from fairjax.config.study import Study


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


def study(config: ConfigDict, plan: Study) -> ConfigDict:
    """The config of a study: what its runs share, and its plan."""
    with config.unlocked():
        config.study = plan
    return config


def shipped() -> Path:
    """Folder of the configs that FairJAX ships: the checkout's, or one in the installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "configs"
    return checkout if (checkout / "quickstart.py").exists() else package / "shipped_configs"


def find_file(file_and_arg: str) -> str:
    """`FILE[:arg]` with the path of the config file.

    Args:
      file_and_arg: A file, or the name of a config that FairJAX ships, with or without "configs/"
        before it and ".py" behind it, such as "quickstart:smoke" or "utkface/resnet50:small". A
        file of that name in the present folder comes first.

    Returns:
      The path and the argument; the words as they came where there is no such file.
    """
    file, colon, arg = file_and_arg.partition(":")
    if not Path(file).is_file():
        name = file.removeprefix("configs/").removesuffix(".py")
        found = shipped() / f"{name}.py"
        if name and not Path(name).is_absolute() and ".." not in Path(name).parts:
            file = str(found) if found.is_file() else file
    return f"{file}{colon}{arg}"


def load(file_and_arg: str) -> ConfigDict:
    """The config of `FILE[:arg]`.

    Args:
      file_and_arg: What `find_file` takes.

    Raises:
      ConfigError: If the file is missing or broken, or does not know the argument.
    """
    file, _, arg = find_file(file_and_arg).partition(":")
    try:
        get_config = runpy.run_path(file).get("get_config")
        if get_config is None:
            raise ConfigError(f"config file {file!r} has no function get_config(arg).")
        return get_config(arg)
    except FileNotFoundError:
        names = sorted(
            path.relative_to(shipped()).with_suffix("").as_posix()
            for path in shipped().rglob("*.py")
        )
        near = difflib.get_close_matches(file, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"config file {file!r} is not there; {hint}FairJAX ships {', '.join(names)}."
        ) from None
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
