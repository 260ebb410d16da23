"""This process on its host: its heap, the process that started it, the line that started it.

Settings of the heap are made before JAX or TensorFlow start their threads.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

LAUNCH = "FAIRJAX_LAUNCH"  # environment variable: the launcher's line, where there is one
PARENT = "FAIRJAX_PARENT"  # environment variable: the process without which this one is to end
PR_SET_PDEATHSIG = 1  # from Linux's prctl.h
# Names and numbers from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Lets the process keep the memory that it frees, instead of handing it back to the kernel.

    XLA's CPU backend allocates the temporaries of a step anew each time, hundreds of megabytes
    for a ResNet. glibc returns blocks of that size to the kernel at once, which then clears every
    page of the next step again: a fifth of the step's time. The price is that the process stays
    as large as it once was.

    Returns:
      Whether the allocator took the settings; False where it is not glibc's.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return False
    # One heap that grows and never shrinks: further heaps would fall back to mapping pages.
    settings = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1}
    return all(mallopt(name, value) == 1 for name, value in settings.items())


def keep_compiled_programs() -> Path | None:
    """Has JAX keep what it compiles on disk, so that the next start of a config need not compile.

    The folder is `~/.cache/fairjax/compiled` (or below `XDG_CACHE_HOME`), one for each kind of
    processor, as programs of one may not run on another, and holds 4 GiB at most. JAX's own
    `JAX_COMPILATION_CACHE_DIR` names another one; `JAX_ENABLE_COMPILATION_CACHE=0` keeps nothing.
    To be called before the first use of a device.

    Returns:
      The folder; None where JAX has one already, keeps nothing, or the folder cannot be written.
    """
    import jax

    known = jax.config.values
    if known["jax_compilation_cache_dir"] or not known["jax_enable_compilation_cache"]:
        return None
    above = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = above / "fairjax" / "compiled" / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_max_size", 4 * 2**30)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    return folder


def add_xla_flags(flags: Sequence[str]) -> None:
    """Adds flags to `XLA_FLAGS`, after those of the user; before the first use of a device."""
    if flags:
        os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *flags]).strip()


def _processor() -> str:
    """A name for machines whose processors run the same programs."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    kept = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    digest = hashlib.blake2b("\n".join(kept).encode(), digest_size=4).hexdigest()
    return f"{platform.system()}-{platform.machine()}-{digest}"


def end_with_parent() -> None:
    """Has the kernel send SIGTERM to this process when the one that `PARENT` names is gone.

    A study and `launch/local.sh` name themselves there: their runs save and leave even where they
    are killed with SIGKILL. Linux alone can do that; elsewhere nothing happens.
    """
    parent = os.environ.pop(PARENT, "")  # not for processes that this one starts
    if not parent.isdecimal():
        return
    try:
        prctl = ctypes.CDLL(None).prctl
    except (AttributeError, OSError, TypeError):
        return
    prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != int(parent):  # it went before that call
        os.kill(os.getpid(), signal.SIGTERM)


def end_despite_threads(
    error: BaseException, *, patience_s: float = 5.0, end: Callable[[int], None] = os._exit
) -> None:
    """Ends a process that failed, where a library's thread would keep it for ever.

    Python waits for all threads but daemons before it ends. When a write of Orbax fails, other
    threads of it go on waiting for what the one that failed was to tell them. Where the process
    ends well, or no thread is left, nothing happens.

    Args:
      error: What ends the process; of a SystemExit the code is kept.
      patience_s: Seconds that the threads have to end by themselves.
      end: What ends this process; takes the exit code.
    """
    code = error.code if isinstance(error, SystemExit) else 1
    if code in (None, 0):
        return
    deadline = time.monotonic() + patience_s
    others = [
        thread
        for thread in threading.enumerate()
        if thread is not threading.current_thread() and not thread.daemon
    ]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in others):
        if not isinstance(error, SystemExit):
            traceback.print_exception(error)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        end(code if isinstance(code, int) else 1)


def drop_tracebacks_of_writers() -> None:
    """Keeps Orbax's threads from printing the traceback of an error that training raises, too."""
    show = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not type(arguments.thread).__module__.startswith("orbax."):
            show(arguments)

    threading.excepthook = hook


def how_to_resume() -> str:
    """What to type to resume this run: words and, below them, a line that can be pasted.

    A launcher puts its own line into `LAUNCH`. Without it, the line of one of several processes
    starts that process alone, and the words say so.
    """
    if line := os.environ.get(LAUNCH, "").strip():
        return f"To go on:\n  {line}"
    line = shlex.join([sys.executable, "-m", "fairjax.main", *sys.argv[1:]])
    several = any(word.startswith(("--coordinator", "--distributed")) for word in sys.argv[1:])
    words = "To go on, start every process again, this one by" if several else "To go on"
    return f"{words}:\n  {line}"
