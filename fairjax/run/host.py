"""The host process's heap: settings to be made before JAX or TensorFlow start their threads."""

import ctypes
import mmap
import os
import signal

# Names and numbers from glibc's malloc.h and Linux's mman.h.
PARENT = "FAIRJAX_PARENT"  # environment variable: the process without which this one is to end
PR_SET_PDEATHSIG = 1
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
MADV_DONTNEED = 4

SEARCHED = 1 << 10  # bytes; smaller free blocks lie in a list for each size, which is not searched
HEADER = ctypes.sizeof(ctypes.c_size_t)  # bytes between what two neighbours can use
WORTH_KEEPING = 1 << 20  # bytes; a free block of this size may be a step's temporaries


class _Heap:
    """Whether the process has one heap and no other, as `keep_freed_memory` asks for."""

    is_alone = False


def keep_freed_memory() -> bool:
    """Lets the process keep the memory that it frees, instead of handing it back to the kernel.

    XLA's CPU backend allocates the temporaries of a step anew each time, hundreds of megabytes
    for a ResNet. glibc returns blocks of that size to the kernel at once, which then clears every
    page of the next step again: a fifth of the step's time. The price is that the process stays
    as large as it once was, and that compiling litters its only heap: see `set_fragments_aside`.

    Returns:
      Whether the allocator took the settings; False where it is not glibc's.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return False
    # One heap that grows and never shrinks: further heaps would fall back to mapping pages.
    settings = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1}
    _Heap.is_alone = all(mallopt(name, value) == 1 for name, value in settings.items())
    return _Heap.is_alone


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


def set_fragments_aside() -> int:
    """Takes small free blocks out of the heap for good; to be called once a program is compiled.

    A compilation frees tens of thousands of blocks between others that stay. glibc sorts them into
    lists by size, and walks a list whenever XLA allocates the state of a kernel that threads share,
    while the other threads wait, which a step of many small kernels feels. Here those blocks are
    allocated and never used. Their pages go back to the kernel, so that they cost addresses but
    little memory.

    Returns:
      How many bytes were set aside; 0 without `keep_freed_memory`, which makes the process one
      heap, and where the allocator is not glibc's, 2.33 or newer.
    """
    if not _Heap.is_alone:
        return 0
    try:
        libc = ctypes.CDLL(None)
        malloc, free, madvise = libc.malloc, libc.free, libc.madvise
        mallinfo, usable = libc.mallinfo2, libc.malloc_usable_size
    except (AttributeError, OSError, TypeError):
        return 0
    malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    free.argtypes, free.restype = [ctypes.c_void_p], None
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    mallinfo.argtypes, mallinfo.restype = [], _Mallinfo
    usable.argtypes, usable.restype = [ctypes.c_void_p], ctypes.c_size_t

    info = mallinfo()
    scattered = info.fordblks - info.keepcost  # bytes free below the heap's end
    fence = malloc(scattered + 1)  # fits into none of them, so beyond it all is fresh
    if not fence:
        return 0
    kept, after_kept, aside, size = [fence], set(), 0, scattered
    while size >= SEARCHED and scattered > 0:
        block = malloc(size)  # the smallest free block into which it fits, or fresh memory
        if not block or block > fence:
            free(block)
            size -= max(16, size >> 8)
            continue
        scattered -= size
        if size >= WORTH_KEEPING or block in after_kept:  # or what is over of one that is
            kept.append(block)  # for now, or the smaller sizes would be cut from it
            after_kept.add(block + usable(block) + HEADER)
        else:
            aside += size
            first = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE
            whole = (block + size - first) // mmap.PAGESIZE * mmap.PAGESIZE
            if whole > 0:
                madvise(first, whole, MADV_DONTNEED)
    for block in kept:
        free(block)
    return aside


class _Mallinfo(ctypes.Structure):
    """What glibc's `mallinfo2` returns."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]
