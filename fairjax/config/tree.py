"""The config tree with its defaults, and how a config file is read."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ml_collections import ConfigDict

from fairjax.config.bind import section_of
from fairjax.config.errors import ConfigError, nearest
from fairjax.config.sections import (
    algorithm,
    backbone,
    dataset,
    method,
    protocol,
    schedule,
    task,
)
from fairjax.config.study import Study
from fairjax.core.errors import missing_extra
from fairjax.core.settings import (
    EvalSettings,
    InitSettings,
    InputSettings,
    OptimSettings,
    TrainSettings,
)

TASKS = {"age": "regression", "gender": "classes", "group": "classes"}  # of the generated faces

# Keys that may differ between a run and its resumption: they change no number.
FREE_TO_CHANGE = (
    "data.root",
    "data.benchmark.root",
    "backbone.remat",
    "input.cache_mb",
    "method.head.chunk",
    "train.head_shards",
    "train.shard_optimizer",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep_last",
    "train.tensorboard",  # of older runs, which have it in place of train.track
    "train.track",
    "train.optimization_level",
    "train.xla_flags",
)


def base_config() -> ConfigDict:
    """Every key the project knows, locked: the multitask ResNet-50 on generated faces.

    Sections that have a `name` are replaced whole by a config file, by what the functions of
    `fairjax.config.sections` make; the other keys of such a section are the settings of the thing
    it names, and stand next to it. What the keys of the other sections mean stands in
    `fairjax.core.settings`. Lengths are in epochs of the training split.
    """
    config = ConfigDict()
    config.seed = 0  # the one root of all randomness: order, augmentation, initialisation, dropout
    config.title = ""  # the report's heading; "" takes the config file's name
    config.compute_dtype = "float32"  # or bfloat16; parameters, logits and losses stay float32
    config.data = dataset("phantom")
    config.input = section_of(InputSettings())
    config.backbone = backbone("resnet")
    config.init = section_of(InitSettings())
    tasks = {name: task(kind, name) for name, kind in TASKS.items()}
    config.method = method("classify", tasks=tasks)
    config.optim = section_of(OptimSettings())
    config.optim.algorithm = algorithm("adamw")
    config.optim.schedule = schedule("cosine", warmup_epochs=5.0)
    config.train = section_of(TrainSettings())
    config.eval = section_of(EvalSettings())
    config.eval.protocol = protocol("utkface", group_by="group")
    return config.lock()


def study(config: ConfigDict, described: Study) -> ConfigDict:
    """The config of a study: what its runs share, and its rows, columns and claims."""
    with config.unlocked():
        config.study = described
    return config


def shipped() -> Path:
    """Folder of the configs that FairJAX ships: the checkout's, or one in the installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "configs"
    return checkout if (checkout / "quickstart.py").exists() else package / "shipped_configs"


def split_argument(file_and_arg: str) -> tuple[str, str, str]:
    """File, colon and argument of `FILE[:arg]`; the colon of a Windows drive is the file's."""
    drive = file_and_arg[:2] if re.match(r"[A-Za-z]:[\\/]", file_and_arg) else ""
    file, colon, arg = file_and_arg.removeprefix(drive).partition(":")
    return drive + file, colon, arg


def find_file(file_and_arg: str) -> str:
    """`FILE[:arg]` with the path of the config file.

    Args:
      file_and_arg: A file, or the name of a config that FairJAX ships, with or without "configs/"
        before it and ".py" behind it, such as "quickstart:smoke" or "utkface/resnet50:small". A
        file of that name in the present folder comes first.

    Returns:
      The path and the argument; the words as they came where there is no such file.
    """
    file, colon, arg = split_argument(file_and_arg)
    if not Path(file).is_file():
        name = file.removeprefix("configs/").removesuffix(".py")
        path = shipped() / f"{name}.py"
        if name and not Path(name).is_absolute() and ".." not in Path(name).parts:
            file = str(path) if path.is_file() else file
    return f"{file}{colon}{arg}"


def load(file_and_arg: str) -> ConfigDict:
    """The config of `FILE[:arg]`.

    Args:
      file_and_arg: What `find_file` takes.

    Raises:
      ConfigError: If the file is missing or broken, or does not know the argument.
    """
    file, _, arg = split_argument(find_file(file_and_arg))
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
        raise ConfigError(
            f"config file {file!r} is not there; {nearest(file, names)}FairJAX ships "
            f"{', '.join(names)}."
        ) from None
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        if missing_extra(error, "training"):  # its caller says which extra to install
            raise
        raise ConfigError(f"config file {file!r} fails: {error!r}.") from error
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
