"""Processes of one run: they meet, compare, and name the one that is gone."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from fairjax.run.peers import PeerError, Peers, _Line, meet


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def together(*started_with, processes=None, join_s=20.0, numbers=None):
    """What `meet` gives or raises in each of several threads."""
    port, found = free_port(), {}

    def one(number, what):
        try:
            found[number] = meet(
                f"127.0.0.1:{port}",
                processes or len(started_with),
                number,
                started_with=what,
                join_s=join_s,
                heartbeat_s=60.0,
            )
        except (PeerError, ValueError) as error:
            found[number] = error

    numbers = numbers or range(len(started_with))
    threads = [
        threading.Thread(target=one, args=pair) for pair in zip(numbers, started_with, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in numbers]


def test_equal_processes_meet_and_leave_in_peace():
    found = together({"seed": 0}, {"seed": 0}, {"seed": 0})
    assert all(isinstance(peers, Peers) for peers in found), found
    leave_all(found)


def leave_all(everyone):
    for peers in everyone:
        peers.leave()
    while any(thread.name == "fairjax-peers" for thread in threading.enumerate()):
        time.sleep(0.01)


def test_another_seed_is_refused_in_every_process_by_name():
    for error in together({"seed": 0, "lr": 0.1}, {"seed": 1, "lr": 0.1}):
        assert "process 1 was started with something else than process 0" in str(error)
        assert "(seed: 0 in process 0, 1 in 1)" in str(error)


def test_a_process_that_does_not_come_is_named_in_time():
    begun = time.monotonic()
    errors = together({}, {}, processes=3, join_s=1.0)
    assert time.monotonic() - begun < 10
    for error in errors:
        assert "process 2 of 3 did not come to 127.0.0.1:" in str(error)


def test_a_coordinator_that_does_not_come_is_named_in_time():
    (error,) = together({}, processes=2, join_s=1.0, numbers=[1])
    assert "process 0 did not answer at 127.0.0.1:" in str(error)


@pytest.mark.parametrize("coordinator", ["nonsense", "host:", ":5", "host:x", "host:99999"])
def test_an_impossible_address_is_refused(coordinator):
    with pytest.raises(ValueError, match="must be host:port"):
        meet(coordinator, 2, 0, started_with={}, join_s=1.0, heartbeat_s=1.0)


@pytest.mark.parametrize(("processes", "process"), [(0, 0), (2, 2), (2, -1)])
def test_an_impossible_number_is_refused(processes, process):
    with pytest.raises(ValueError, match="must lie in"):
        meet("h:1", processes, process, started_with={}, join_s=1.0, heartbeat_s=1.0)


def test_strangers_at_the_port_are_passed_over():
    port, found = free_port(), []
    zero = threading.Thread(
        target=lambda: found.append(
            meet(f"127.0.0.1:{port}", 2, 0, started_with={}, join_s=20.0, heartbeat_s=60.0)
        )
    )
    zero.start()
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'{"process": "x"}\n'):
        stranger = None
        while stranger is None:
            with contextlib.suppress(OSError):
                stranger = socket.create_connection(("127.0.0.1", port), timeout=5)
        stranger.sendall(words)
        stranger.close()
    other = meet(f"127.0.0.1:{port}", 2, 1, started_with={}, join_s=20.0, heartbeat_s=60.0)
    zero.join()
    leave_all([other, *found])


def watched(heartbeat_s):
    """A watch, the socket at its other end, and the exit codes it asks for."""
    ours, theirs = socket.socketpair()
    ends = []
    peers = Peers(0, {1: _Line(ours)}, heartbeat_s=heartbeat_s, end=ends.append)
    return peers, theirs, ends  # `theirs` is closed by the test


def wait_for(ends):
    deadline = time.monotonic() + 10
    while not ends and time.monotonic() < deadline:
        time.sleep(0.01)
    return ends


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda s: s.close(), "process 1 is gone; it was killed, or its host is down"),
        (lambda s: s.sendall(b'{"leave": "no data"}\n'), "process 1 stopped: no data"),
        (lambda s: s.sendall(b"rubbish\n"), "process 1 is gone"),
        (lambda s: None, "process 1 has been silent for 0.5 s"),
    ],
)
def test_who_is_gone_is_said_in_one_line_and_ends_the_process(act, words, capsys):
    _, theirs, ends = watched(heartbeat_s=0.5)
    with theirs:
        act(theirs)
        assert wait_for(ends) == [1]
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_process_whose_work_is_done_may_leave(capsys):
    peers, theirs, ends = watched(heartbeat_s=0.5)
    theirs.sendall(b'{}\n{"leave": ""}\n')
    theirs.close()
    time.sleep(0.3)
    peers.leave()
    assert not ends and not capsys.readouterr().err


def test_a_killed_process_ends_the_other_at_once():
    code = (
        "import sys, time; from fairjax.run.peers import meet; "
        "p = meet(sys.argv[1], 2, int(sys.argv[2]), "
        "started_with={}, join_s=60.0, heartbeat_s=60.0); "
        "print('met', flush=True); time.sleep(120)"
    )
    address = f"127.0.0.1:{free_port()}"
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", code, address, str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )
        for number in range(2)
    ]
    for process in pair:
        assert process.stdout.readline() == "met\n"
    pair[1].kill()
    begun = time.monotonic()
    _, said = pair[0].communicate(timeout=30)
    pair[1].communicate()
    assert time.monotonic() - begun < 10
    assert pair[0].returncode == 1
    assert said.startswith("fairjax: process 1 is gone; it was killed") and said.count("\n") == 1


def test_an_abort_of_jax_is_one_line_and_an_exit_code():
    code = (
        "import os, threading, time; from fairjax.run.peers import end_in_one_line_on_abort; "
        "end_in_one_line_on_abort(); threading.Thread(target=os.abort).start(); time.sleep(60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 1
    assert done.stderr.startswith("fairjax: JAX has lost another process of this run.")
    assert done.stderr.count("\n") == 1


def test_lines_of_jax_about_a_lost_process_are_dropped_and_all_others_pass():
    script = """
import os, sys, time
from absl import logging
from fairjax.run.peers import drop_lines_of_jax
drop_lines_of_jax()
os.write(2, b"E1130 coordination_service_agent.cc:289] Polled an error\\n")
os.write(2, b"F1130 client.h:80] Terminating process because the JAX distributed service ...\\n")
os.write(2, b":UNKNOWN:Error received from peer  {grpc_status:14}\\n")
os.write(2, b"F1130 xla.cc:1] Check failed\\n")
logging.warning("ours")
print("half a line", end="", file=sys.stderr, flush=True)
time.sleep(0.3)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "F1130 xla.cc:1] Check failed" in run.stderr
    assert "ours" in run.stderr and "half a line" in run.stderr
    assert not any(word in run.stderr for word in ("coordination", "Terminating", "UNKNOWN"))


def test_an_error_waits_until_a_lost_process_is_named(capsys):
    """A collective operation fails before the closed connection is noticed."""
    peers, theirs, ends = watched(60.0)
    begun = time.monotonic()
    peers.wait_for_news(0.05)
    assert 0.05 <= time.monotonic() - begun < 5 and not ends
    theirs.close()
    peers.wait_for_news(20.0)
    assert ends == [1]
    assert "process 1 is gone" in capsys.readouterr().err
