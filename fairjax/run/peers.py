"""The processes of one run: they meet before JAX starts, and notice when one of them is gone.

Process 0 waits at the coordinator's address until every other process has come, compares what all
were started with, and lets them go on together. Their connections stay open. A process that is
killed closes its connection, so the others end within a second, in one line that names it; one
that is frozen or cut off falls silent, which is noticed after the heartbeat's time. Without this
the others would wait inside a collective operation until JAX aborts them.
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from absl import logging

from fairjax.core.errors import UNUSABLE, report_error
from fairjax.run.workdir import WorkdirError

_RETRY_S = 0.2
_SPEAK_AFTER_S = 10.0  # of waiting
_LONGEST_LINE = 2**24  # bytes of one message
_LINES_OF_JAX = re.compile(
    rb"\] .*coordination service|coordination_service|preemption_sync_manager"
    rb"|Terminating process because the JAX distributed|^Additional GRPC error information"
    rb"|^:UNKNOWN:Error received from peer|^\[Gloo\] Rank \d+ is connected"
)
_NEWS_S = 3.0  # after an error, until a connection must have said that another process is gone


class PeerError(WorkdirError):
    """The processes of a run cannot work together; the message names the process."""


class Peers:
    """The connections of this process to the others, once all have met.

    Args:
      process: This process's number.
      connections: Sockets by the number of the process at the other end. Process 0 has one to each,
        every other process has one to process 0.
      heartbeat_s: Seconds of silence after which a process counts as gone.
      end: What ends this process when another is gone; takes the exit code.
    """

    def __init__(
        self,
        process: int,
        connections: Mapping[int, "_Line"],
        *,
        heartbeat_s: float,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self.process = process
        self._connections = dict(connections)
        self._heartbeat_s = heartbeat_s
        self._end = end
        self._left = False
        self._lost, self._ended = threading.Event(), threading.Event()
        for number, line in self._connections.items():
            line.socket.settimeout(heartbeat_s)
            threading.Thread(
                target=self._listen, args=(number, line), name="fairjax-peers", daemon=True
            ).start()
        threading.Thread(target=self._beat, name="fairjax-heartbeat", daemon=True).start()

    @property
    def others(self) -> int:
        """Number of processes that this one is connected to."""
        return len(self._connections)

    def leave(self, why: str = "") -> None:
        """Tells the others that this process ends.

        Args:
          why: What stopped it, upon which the others stop too; "" where its work is done.
        """
        if self._left:
            return
        self._left = True
        for line in self._connections.values():
            with contextlib.suppress(OSError):
                line.send({"leave": why})

    def wait_for_news(self, seconds: float = _NEWS_S) -> None:
        """Gives a lost process time to be named, which ends this one.

        A collective operation fails at once where another process is gone, often before its closed
        connection is noticed. Its traceback would be all that is seen.

        Args:
          seconds: How long at most.
        """
        if self._connections and not self._left and self._lost.wait(seconds):
            self._ended.wait(seconds)  # `_stop` ends this process meanwhile

    def _beat(self) -> None:
        while not self._left:
            for line in self._connections.values():
                with contextlib.suppress(OSError):  # the listener says so
                    line.send({})
            time.sleep(self._heartbeat_s / 4)

    def _listen(self, number: int, line: "_Line") -> None:
        """Waits for what a process has to say until it leaves."""
        with line.socket:
            why = self._last_words(line)
        if why and not self._left:
            self._stop(f"process {number} {why}")

    def _last_words(self, line: "_Line") -> str:
        """Why a process is no longer there; "" where its work was done."""
        while True:
            try:
                message = line.receive()
            except TimeoutError:
                return f"has been silent for {self._heartbeat_s:g} s"
            except (OSError, ValueError):
                return "is gone; it was killed, or its host is down"
            if "leave" in message:
                return f"stopped: {message['leave']}" if message["leave"] else ""

    def _stop(self, why: str) -> None:
        self._lost.set()
        self.leave(why)
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h")  # a live display hides the cursor
        report_error(f"{why}. Start every process again with the same line to resume.")
        sys.stderr.flush()
        self._end(UNUSABLE)
        self._ended.set()


def drop_lines_of_jax() -> None:
    """Keeps JAX's own lines on a lost process from standard error; all other lines pass.

    JAX's C++ code writes up to nine of them, before or after ours, and none names the process.
    They go to the file descriptor, so that is where they are filtered. Python writes past the
    filter: a live display is no line.
    """
    shown = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    sys.stderr = os.fdopen(shown, "w", buffering=1, errors="backslashreplace", closefd=False)
    logging.get_absl_handler().python_handler.setStream(sys.stderr)
    threading.Thread(
        target=_filter, args=(reader, shown), name="fairjax-stderr", daemon=True
    ).start()


def _filter(reader: int, shown: int) -> None:
    """Copies lines until the pipe is closed."""
    with os.fdopen(reader, "rb") as lines, contextlib.suppress(OSError):
        for line in lines:
            if not _LINES_OF_JAX.search(line):
                os.write(shown, line)


_HANDLERS: list[Any] = []  # C calls it, so Python must not collect it


def end_in_one_line_on_abort(*, end: Callable[[int], None] = os._exit) -> None:
    """Turns an abort by JAX into one line and an exit code, as for any lost process.

    JAX aborts a process as soon as the one with its coordination service, process 0, is gone. That
    can come before our own connection says so; the listener is given the time to name it.

    Args:
      end: What ends this process; takes the exit code.
    """

    def on_abort(number: int) -> None:
        time.sleep(2 * _RETRY_S + 1.0)
        report_error(
            "JAX has lost another process of this run. Start every process again with the same "
            "line to resume."
        )
        sys.stderr.flush()
        end(UNUSABLE)

    # Python's own handlers run between two of its instructions, and abort() does not wait for one.
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(on_abort)
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.signal(int(signal.SIGABRT), handler)
        _HANDLERS.append(handler)


class _Line:
    """A socket that carries one JSON object a line."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._rest = b""
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """The next object; ConnectionError where the other end is closed."""
        while b"\n" not in self._rest:
            more = self.socket.recv(2**16)
            if not more or len(self._rest) > _LONGEST_LINE:
                raise ConnectionError("closed")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("no object")
        return message

    def close(self) -> None:
        self.socket.close()


def meet(
    coordinator: str,
    processes: int,
    process: int,
    *,
    started_with: Mapping[str, Any],
    join_s: float,
    heartbeat_s: float,
) -> Peers:
    """Waits until all processes of a run have come, and makes sure that they belong together.

    Args:
      coordinator: "host:port" where process 0 waits; afterwards the port is free for JAX.
      processes: How many take part.
      process: This process's number, from 0.
      started_with: By dotted name, what must be equal in all: config, versions. JSON-ready.
      join_s: Seconds to wait for the others.
      heartbeat_s: Seconds of silence after which a process counts as gone.

    Raises:
      ValueError: If an argument is impossible.
      PeerError: If a process does not come in time or was started with something else.
    """
    host, colon, port = coordinator.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(
            f"--coordinator={coordinator!r} must be host:port of process 0, such as 10.0.0.1:8476."
        )
    if processes < 1 or not 0 <= process < processes:
        raise ValueError(
            f"--process={process} must lie in 0..{processes - 1} for --processes={processes}."
        )
    hello = {"process": process, "processes": processes, "with": dict(started_with)}
    hello = json.loads(json.dumps(hello))  # as the others will read it
    deadline = time.monotonic() + join_s
    if process:
        connections = {0: _greet(host.strip("[]"), int(port), hello, deadline, coordinator)}
    else:
        connections = _gather(int(port), hello, deadline, coordinator)
    return Peers(process, connections, heartbeat_s=heartbeat_s)


def _gather(
    port: int, hello: Mapping[str, Any], deadline: float, coordinator: str
) -> dict[int, _Line]:
    """Process 0's part: a connection to every other process."""
    come: dict[int, _Line] = {}
    waited = _Patience(deadline)

    def refuse(why: str) -> NoReturn:
        for line in come.values():
            with contextlib.suppress(OSError), line.socket:
                line.send({"refuse": why})
        raise PeerError(why)

    with socket.create_server(("", port)) as server:
        while len(come) + 1 < hello["processes"]:
            missing = [n for n in range(1, hello["processes"]) if n not in come]
            some = ", ".join(map(str, missing[:5])) + (" and others" if missing[5:] else "")
            if waited.is_over(f"process {some} at {coordinator}"):
                refuse(
                    f"process {some} of {hello['processes']} did not come to {coordinator} in "
                    "time (--join_timeout); did it start, and can it reach this host?"
                )
            server.settimeout(max(_RETRY_S, waited.step()))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            line = _Line(connection)
            connection.settimeout(max(1.0, waited.left()))
            try:
                message = line.receive()
                number = int(message["process"])
            except (OSError, LookupError, TypeError, ValueError):
                line.close()  # a stranger
                continue
            taken = number in come
            come[number] = line
            if taken or not 0 < number < hello["processes"]:
                refuse(
                    f"two processes have the number {number}, or --processes differs; give each "
                    "of them --processes and a --process of its own."
                )
            if why := _difference(hello, message, number):
                refuse(why)
    for line in come.values():
        line.send({"go": True})
    return come


def _greet(
    host: str, port: int, hello: Mapping[str, Any], deadline: float, coordinator: str
) -> _Line:
    """Another process's part: the connection to process 0."""
    waited = _Patience(deadline)
    while not waited.is_over(f"process 0 at {coordinator}"):
        try:
            connection = socket.create_connection((host, port), timeout=waited.step())
        except OSError:
            time.sleep(_RETRY_S)
            continue
        line = _Line(connection)
        try:
            if connection.getsockname() == connection.getpeername():
                raise ConnectionError("this process met itself")  # nobody listens at that port
            line.send(hello)
            connection.settimeout(
                max(1.0, waited.left() + 5.0)
            )  # process 0's own wait is over then
            answer = line.receive()
        except (OSError, ValueError):
            line.close()
            time.sleep(_RETRY_S)
            continue
        if "refuse" in answer:
            line.close()
            raise PeerError(str(answer["refuse"]))
        return line
    raise PeerError(
        f"process 0 did not answer at {coordinator} in time (--join_timeout); did it start, and "
        "can this host reach it?"
    )


class _Patience:
    """How long to wait still; says once what is waited for."""

    def __init__(self, deadline: float) -> None:
        self._deadline, self._begun, self._spoken = deadline, time.monotonic(), False

    def left(self) -> float:
        return self._deadline - time.monotonic()

    def step(self) -> float:
        return max(_RETRY_S, min(1.0, self.left()))

    def is_over(self, what: str) -> bool:
        if not self._spoken and time.monotonic() - self._begun > _SPEAK_AFTER_S:
            logging.info("Waiting for %s, at most %.0f s more.", what, self.left())
            self._spoken = True
        return self.left() <= 0


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any], number: int) -> str:
    """Why a process does not belong to process 0; "" where it does."""
    if theirs.get("processes") != ours["processes"]:
        return (
            f"process {number} was started with --processes={theirs.get('processes')} and "
            f"process 0 with --processes={ours['processes']}; start all with the same."
        )
    left, right = ours["with"], theirs.get("with", {})
    wrong = [
        f"{key}: {left.get(key)!r} in process 0, {right.get(key)!r} in {number}"
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    ]
    if not wrong:
        return ""
    more = f"; and {len(wrong) - 3} more" if wrong[3:] else ""
    return (
        f"process {number} was started with something else than process 0 "
        f"({'; '.join(wrong[:3])}{more}); start all with the same line and the same code."
    )
