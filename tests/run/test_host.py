"""Freed memory stays with the process."""

import subprocess
import sys

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
