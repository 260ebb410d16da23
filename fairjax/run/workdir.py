"""A run's folder: who may write there, which config it holds, what it says of its surroundings."""

import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

import fairjax
from fairjax.config import differences
from fairjax.core import files
from fairjax.core.errors import UserError
from fairjax.core.files import write_whole

NEEDED_BYTES = 64 * 2**20  # less free space than this cannot hold a run's logs and predictions

_ABSENT = object()
# What must be in a run's JSON files, by dotted key, and of which type.
FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "config.json": {"seed": int, "title": str, "eval.protocol.name": str, "eval.published": str},
    "data.json": {"hash": str, "attributes": dict},
    "model.json": {"title": str, "targets": dict, "input.image_size": int},
    "environment.json": {"fairjax": str, "command": str, "git_revision": (str, type(None))},
    "outcome.json": {"evaluated_step": int},
    "study.json": {"command": str, "plan": dict},
}


class WorkdirError(UserError, RuntimeError):
    """The run's folder cannot be used; the message says why and what to do."""


@contextmanager
def claim(workdir: Path) -> Iterator[None]:
    """Holds the folder for this process alone; a killed process lets go of it by itself.

    Raises:
      WorkdirError: If the folder cannot be made or written, is nearly full, or is in use.
    """
    lock, owner = FileLock(workdir / ".lock"), workdir / ".owner"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        acquired = lock.acquire(timeout=0)
    except Timeout:
        process = owner.read_text(encoding="utf-8").strip() if owner.exists() else "unknown"
        raise WorkdirError(
            f"--workdir {workdir} is in use by another run (process {process}); "
            "wait for it, stop it, or choose another folder."
        ) from None
    except OSError as error:
        raise WorkdirError(
            f"--workdir {workdir} cannot be written ({error.strerror}); choose another folder."
        ) from None
    with acquired:
        owner.write_text(f"{os.getpid()}\n", encoding="utf-8")
        free = shutil.disk_usage(workdir).free
        if free < NEEDED_BYTES:
            raise WorkdirError(
                f"--workdir {workdir} has only {free / 2**20:.0f} MiB free; "
                "make room or choose another folder."
            )
        yield


@contextmanager
def folder_that_stays(workdir: Path) -> Iterator[None]:
    """Says in one line that a run's folder was moved or removed while the run wrote there.

    What fails then is a file far below, in a library's thread, in hundreds of lines.

    Raises:
      WorkdirError: If anything fails and the folder, or the one of its checkpoints, is gone.
    """
    try:
        yield
    except Exception as error:  # libraries raise their own kinds; all others pass on
        folders = (workdir, workdir / "checkpoints")
        gone = next((folder for folder in folders if not folder.exists()), None)
        if gone is None or isinstance(error, UserError):
            raise
        raise WorkdirError(
            f"{gone} is gone: it was moved or removed while the run wrote there. Put it back and "
            "start the same line again, or choose another --workdir."
        ) from error


def in_use(workdir: Path) -> bool:
    """Whether another process holds the folder."""
    if not (workdir / ".lock").exists():
        return False
    try:
        with FileLock(workdir / ".lock").acquire(timeout=0):
            return False
    except Timeout:
        return True


def settle_config(workdir: Path, config: Mapping[str, Any]) -> None:
    """Writes `config.json`, or checks that the run begun there had the same config.

    A run that was refused before its data were settled has not begun, and binds nobody. In the
    folder of a finished run nothing is written.

    Raises:
      WorkdirError: If they differ in a key that changes numbers, or, where the run is finished, in
        the data that are named; each is named.
    """
    path = workdir / "config.json"
    if path.exists() and (workdir / "data.json").exists():
        changed = differences(read_json(path), config)
        if changed:
            shown = "; ".join(changed[:5]) + (
                f"; and {len(changed) - 5} more" if changed[5:] else ""
            )
            raise WorkdirError(
                f"--workdir {workdir} holds a run with another config ({shown}); "
                "choose another folder, or give the old values to resume."
            )
        if is_finished(workdir):
            _refuse_other_data(workdir, read_json(path), config)
            return
    write_json(path, config)


def _refuse_other_data(workdir: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses a finished run whose tables would be taken for those of other data.

    Raises:
      WorkdirError: If the config names another place of the data.
    """
    sections = (("data", ()), ("data.benchmark", ("benchmark",)))
    for where, keys in sections:
        old, new = (tree.get("data", {}) for tree in (before, now))
        for key in keys:
            old, new = old.get(key) or {}, new.get(key) or {}
        for key in ("root", "pairs", "groups"):
            if old.get(key) != new.get(key):
                raise WorkdirError(
                    f"--workdir {workdir} holds a finished run on config.{where}.{key}="
                    f"{old.get(key)!r}, and {new.get(key)!r} would not be looked at; choose "
                    "another folder for other data, or leave the key as it was."
                )


def settle_data(workdir: Path, manifest: Mapping[str, Any], *, accepted: str = "") -> None:
    """Writes `data.json`, or checks that the run begun there had the same data.

    Args:
      workdir: The run's folder.
      manifest: What the data are now.
      accepted: The beginning of the hash of changed data that the user knows of, such as those
        without an image that could not be decoded: the run goes on with them, and `data.json`
        lists the hashes that it has had under "hashes_before".

    Raises:
      WorkdirError: If an image, a label or a split has changed since.
    """
    path = workdir / "data.json"
    if path.exists():
        before = read_checked(path)
        history = list(before.get("hashes_before", ()))
        if accepted and manifest["hash"].startswith(accepted):
            if before["hash"] != manifest["hash"]:
                history.append(before["hash"])
            before = {**before, "hash": manifest["hash"], "splits_hash": manifest["splits_hash"]}
        if history:
            manifest = {**manifest, "hashes_before": history}
        for key, what in (("hash", "images or labels"), ("splits_hash", "splits")):
            if before.get(key) != manifest[key]:
                raise WorkdirError(
                    f"--workdir {workdir} holds a run on other data (its {what} differ: "
                    f"{str(before.get(key))[:12]} -> {manifest[key][:12]}); choose another "
                    "folder, or give the same data to resume. If you took out images that could "
                    f"not be read, go on with --changed_data={manifest['hash'][:12]}."
                )
    write_json(path, manifest)


def write_json(path: Path, tree: Any) -> None:
    """Writes JSON, whole or not at all."""
    write_whole(path, json.dumps(tree, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
      WorkdirError: If the file is missing, cannot be read, or holds none.
    """
    try:
        tree = files.read_json(path)
    except FileNotFoundError:
        raise WorkdirError(f"{path} is missing; is {path.parent} the folder of a run?") from None
    except OSError as error:
        raise WorkdirError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise WorkdirError(str(error)) from error
    if not isinstance(tree, dict):
        raise WorkdirError(
            f"{path} holds a JSON {type(tree).__name__} and no object; restore it from a copy."
        )
    return tree


def read_checked(path: Path) -> dict[str, Any]:
    """Reads one of a run's JSON files, and checks that it holds what such a file must hold.

    Args:
      path: The file; `FIELDS` says by its name what must be in it.

    Raises:
      WorkdirError: If the file is missing, cannot be read, is damaged, or lacks a field.
    """
    tree = read_json(path)
    for field, kinds in FIELDS[path.name].items():
        value: Any = tree
        for key in field.split("."):
            value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
        if not isinstance(value, kinds):
            what = "lacks" if value is _ABSENT else f"holds {str(value)[:40]!r} as"
            raise WorkdirError(f"{path} {what} {field!r}; restore it from a copy.")
    return tree


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads one of a run's .npz files.

    Raises:
      WorkdirError: If the file cannot be read or is damaged.
    """
    try:
        return files.read_arrays(path)
    except OSError as error:
        raise WorkdirError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise WorkdirError(str(error)) from error


def is_finished(workdir: Path) -> bool:
    """Whether the folder holds a run that was trained and evaluated to its end.

    `outcome.json` is the last file that training writes. A run that ended between the predictions
    and that file evaluates its last checkpoint again.
    """
    return (workdir / "outcome.json").exists() and (workdir / "predictions.npz").exists()


def environment(devices: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, machine, code revision and command line, for `environment.json`."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow", "numpy")
    return {
        "fairjax": fairjax.__version__,
        "git_revision": _git("rev-parse", "HEAD"),
        "git_clean": _git("status", "--porcelain") == "",
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in packages},
        "devices": dict(devices),
        "command": shlex.join(["python", "-m", "fairjax.main", *sys.argv[1:]]),
    }


def _version(name: str) -> str:
    for distribution in (name, f"{name}-cpu"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "absent"


def _git(*arguments: str) -> str | None:
    """Git's answer about the checkout this code runs from; None outside one."""
    source = Path(fairjax.__file__).parent
    try:
        answer = subprocess.run(
            ["git", "-C", str(source), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
