"""What reading a whole source has found, kept in the user's cache folder until the source changes.

It only saves time: what is damaged or cannot be written is passed over.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def load(kind: str, stamp: str) -> Any:
    """What `save` has kept under this name; None where there is nothing whole."""
    try:
        return json.loads(_file(kind, stamp).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def save(kind: str, stamp: str, value: Any) -> None:
    """Keeps a JSON-ready value.

    Args:
      kind: What it is, with the version of its format: "scan-3".
      stamp: A hash that moves with the source.
      value: The value.
    """
    path = _file(kind, stamp)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(value), encoding="utf-8")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()


def _file(kind: str, stamp: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(base):  # a user without a home: nowhere to keep it
        base = os.devnull
    return Path(base) / "fairjax" / f"{kind}-{stamp}.json"
