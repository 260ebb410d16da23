"""The host process's heap: settings to be made before JAX or TensorFlow start their threads."""

import ctypes
import os
import signal

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
