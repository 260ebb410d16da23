"""Freed memory stays with the process, large blocks whole and small ones out of the way."""

import subprocess
import sys

import pytest

PROBE = """
import ctypes, resource
from fairjax.host import keep_freed_memory
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
from fairjax.host import _Mallinfo, keep_freed_memory, set_fragments_aside
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
    code = "from fairjax.host import set_fragments_aside; print(set_fragments_aside())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")
