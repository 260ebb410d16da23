"""Freed memory stays with the process, large blocks whole and small ones out of the way."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROBE = """
import ctypes, resource
from fairjax.run.host import keep_freed_memory
if not keep_freed_memory():
    raise SystemExit("not glibc")
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(1 << 27)
    ctypes.memset(block, 1, 1 << 27)
    libc.free(block)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator only")
def test_a_freed_block_is_reused_without_faulting_its_pages_in_again():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    if "not glibc" in done.stderr:
        pytest.skip("the allocator is not glibc's")
    first, second = map(int, done.stdout.split())
    assert first > 32  # the kernel may hand out pages of 2 MiB
    assert second < 16


FRAGMENTS = """
import ctypes, random
from fairjax.run.host import _Mallinfo, keep_freed_memory, set_fragments_aside
if not keep_freed_memory():
    raise SystemExit("not glibc")
libc = ctypes.CDLL(None)
if not hasattr(libc, "mallinfo2"):
    raise SystemExit("not glibc, or too old")
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.mallinfo2.restype = _Mallinfo
random.seed(0)
large, fence = libc.malloc(1 << 26), libc.malloc(4096)  # temporaries, and what keeps them apart
sizes = [random.randrange(2000, 60_000) for _ in range(6000)]
blocks = [libc.malloc(size) for size in sizes]
for block, size in zip(blocks, sizes):
    ctypes.memset(block, 0xA5, size)
for block in blocks[::2]:  # no two neighbours, so that none grow together
    libc.free(block)
libc.free(large)

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

before, held = libc.mallinfo2(), resident()
aside = set_fragments_aside()
whole = libc.malloc(1 << 26) == large
libc.free(large)
after = libc.mallinfo2()
print(sum(sizes[::2]), aside, after.uordblks - before.uordblks, held - resident())
intact = all(
    ctypes.string_at(block, size) == bytes([0xA5]) * size
    for block, size in zip(blocks[1::2], sizes[1::2])
)
print(intact, set_fragments_aside(), whole)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator only")
def test_small_free_blocks_leave_the_heap_and_nothing_else_does():
    done = subprocess.run([sys.executable, "-c", FRAGMENTS], capture_output=True, text=True)
    if "not glibc" in done.stderr:
        pytest.skip("the allocator is not glibc's, or an old one")
    assert not done.stderr
    freed, aside, grown, returned, intact, again, whole = done.stdout.split()
    assert 0.99 * int(freed) < int(aside) < 1.05 * int(freed)  # and what Python had freed before
    assert int(aside) <= int(grown) < 1.01 * int(aside)
    assert int(returned) > 0.6 * int(freed)  # the rest shares its pages with what is in use
    assert intact == "True"
    assert int(again) < 0.01 * int(freed)
    assert whole == "True"  # the block that a step would want again


def test_several_heaps_are_left_as_they_are():
    code = "from fairjax.run.host import set_fragments_aside; print(set_fragments_aside())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")


ORPHAN = """
import os, sys, time
from fairjax.run.host import PARENT, end_with_parent
os.environ[PARENT] = str(os.getppid())
end_with_parent()
assert PARENT not in os.environ
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone can tell a child")
def test_a_process_ends_with_the_one_that_started_it():
    parent = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"
    process = subprocess.Popen(
        [sys.executable, "-c", parent, ORPHAN], stdout=subprocess.PIPE, text=True
    )
    child = int(process.stdout.readline())
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if "\nState:\tZ" in Path(f"/proc/{child}/status").read_text():  # nobody collects it here
            return
        time.sleep(0.05)
    pytest.fail("the child outlived its parent")
