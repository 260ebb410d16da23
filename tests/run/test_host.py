"""Freed memory stays with the process, compiled programs with the machine."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fairjax.run.host import (
    LAUNCH,
    add_xla_flags,
    drop_tracebacks_of_writers,
    end_despite_threads,
    how_to_resume,
    keep_compiled_programs,
)

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


@pytest.mark.parametrize(
    ("error", "code"),
    [(SystemExit(3), 3), (SystemExit("why"), 1), (ValueError("why"), 1), (SystemExit(0), None)],
)
def test_a_failed_process_waits_for_no_thread_that_is_stuck(error, code):
    codes, go_on = [], threading.Event()
    thread = threading.Thread(target=go_on.wait)
    thread.start()
    end_despite_threads(error, patience_s=0.05, end=codes.append)
    go_on.set()
    assert codes == ([] if code is None else [code])
    end_despite_threads(error, patience_s=30, end=codes.append)  # the thread ends in time
    assert codes == ([] if code is None else [code])
    assert not thread.is_alive() or code is None


def test_a_writers_error_is_told_once(monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    drop_tracebacks_of_writers()

    class Writer(threading.Thread):
        pass

    def fail():
        raise OSError

    for kind, module in ((Writer, "orbax.checkpoint"), (threading.Thread, "threading")):
        kind.__module__ = module
        thread = kind(target=fail)
        thread.start()
        thread.join()
    assert [arguments.exc_type for arguments in told] == [OSError]


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


def test_the_line_that_resumes_can_be_pasted(monkeypatch):
    monkeypatch.delenv(LAUNCH, raising=False)
    monkeypatch.setattr(sys, "argv", ["main.py", "--config", "a b.py", "--workdir=w"])
    line = f"{sys.executable} -m fairjax.main --config 'a b.py' --workdir=w"
    assert how_to_resume() == f"To go on:\n  {line}"
    sys.argv += ["--coordinator=h:1", "--processes=2", "--process=0"]
    words, pasted = how_to_resume().split("\n  ")
    assert words == "To go on, start every process again, this one by:"
    assert pasted == f"{line} --coordinator=h:1 --processes=2 --process=0"
    monkeypatch.setenv(LAUNCH, "launch/local.sh --processes 2 --config x ")
    assert how_to_resume() == "To go on:\n  launch/local.sh --processes 2 --config x"


COMPILE = """
import jax
from fairjax.run.host import keep_compiled_programs
print(keep_compiled_programs())
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x + 1)(1.0)
"""


def test_what_is_compiled_is_kept_in_the_users_cache_folder(tmp_path):
    known = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        capture_output=True,
        text=True,
        check=True,
        env={**known, "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path)},
    )
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(tmp_path / "fairjax" / "compiled")
    assert any(path.name.endswith("-cache") for path in folder.iterdir())


def test_a_folder_that_the_user_names_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert keep_compiled_programs() is None  # the tests have named one
    assert not any(tmp_path.iterdir())


def test_flags_of_xla_come_after_the_users(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--a=1")
    add_xla_flags(())
    assert os.environ["XLA_FLAGS"] == "--a=1"
    add_xla_flags(("--b=2", "--a=3"))
    assert os.environ["XLA_FLAGS"] == "--a=1 --b=2 --a=3"
