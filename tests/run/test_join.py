"""The processes of a run: what is refused before they meet, what must be equal, who is told."""

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from fairjax.config import ConfigError
from fairjax.run import join
from fairjax.run.join import JoinOptions, join_processes, require_same
from fairjax.run.workdir import WorkdirError

TREE = {"seed": 3, "data": {"root": "here", "name": "rfw"}}
NOTHING = dict(
    coordinator=None, processes=None, process=None, distributed=False, join_s=7.5, heartbeat_s=20.0
)


class Joined:
    """Connections to other processes."""

    def __init__(self, others):
        self.others = others


@pytest.fixture
def meeting(monkeypatch):
    """What processes are asked to meet with, and the order of what happens."""
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    asked, order = {}, []

    def meet(coordinator, processes, process, **settings):
        asked.update(settings, coordinator=coordinator, processes=processes, process=process)
        order.append("meet")
        return Joined(others=False)

    def initialize(*numbers, **timeouts):
        asked.update(numbers=numbers, **timeouts)
        order.append("jax")

    monkeypatch.setattr(join.peers, "meet", meet)
    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    return asked, order


def joined(order, **flags):
    join_processes(
        TREE, JoinOptions(**(NOTHING | flags)), on_meeting=lambda peers: order.append("known")
    )


def test_a_run_alone_joins_nobody(meeting):
    asked, order = meeting
    joined(order)
    assert (asked, order) == ({}, [])
    assert not JoinOptions(**NOTHING).several
    for flag in ({"coordinator": "a:1"}, {"processes": 2}, {"distributed": True}):
        assert JoinOptions(**(NOTHING | flag)).several


def test_flags_go_before_the_environment_and_peers_are_known_before_jax_starts(
    meeting, monkeypatch
):
    asked, order = meeting
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "elsewhere:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "4")
    monkeypatch.setenv("JAX_PROCESS_ID", "9")
    joined(order, coordinator="host:8476", process=0)
    assert order == ["meet", "known", "jax"]
    assert (asked["coordinator"], asked["processes"], asked["process"]) == ("host:8476", 4, 0)
    assert (asked["join_s"], asked["heartbeat_s"]) == (7.5, 20.0)
    assert asked["numbers"] == ("host:8476", 4, 0, None)
    # JAX waits longer than we do, so that our line, which names the process, comes first.
    assert asked["initialization_timeout"] > 7.5 and asked["heartbeat_timeout_seconds"] > 2 * 20


def test_processes_are_compared_by_their_config_but_not_by_where_data_lie(meeting):
    asked, order = meeting
    joined(order, coordinator="host:8476", processes=2, process=1)
    compared = asked["started_with"]
    assert compared["seed"] == 3 and compared["data.name"] == "rfw"
    assert "data.root" not in compared and {"FairJAX", "git revision"} <= compared.keys()


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ({"processes": 2}, "--coordinator, --process is missing"),
        ({"coordinator": "h:1", "process": 0}, "--processes is missing"),
    ],
)
def test_half_of_what_is_needed_is_refused(meeting, flags, missing):
    with pytest.raises(ConfigError, match=f"^{missing}"):
        joined(meeting[1], **flags)
    assert meeting[1] == []


def test_a_number_in_the_environment_that_is_none_is_refused(meeting, monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(ConfigError, match="JAX_NUM_PROCESSES='two' .* unset JAX_NUM_PROCESSES"):
        joined(meeting[1], coordinator="h:1", process=0)


def test_an_impossible_address_is_the_commands_error(meeting, monkeypatch):
    def meet(*_, **__):
        raise ValueError("--coordinator='h' must be host:port")

    monkeypatch.setattr(join.peers, "meet", meet)
    with pytest.raises(ConfigError, match="must be host:port"):
        joined(meeting[1], coordinator="h", processes=2, process=0)
    assert meeting[1] == []


def test_every_process_refuses_where_one_has_other_data(monkeypatch):
    gathered = []

    def allgather(own):
        gathered.append(own)
        return np.stack([*gathered, gathered[0]])  # two processes with the first one's text

    monkeypatch.setattr(multihost_utils, "process_allgather", allgather)
    require_same("data", "alone")
    assert gathered == []  # one process asks nobody
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    require_same("data", "hash")
    require_same("data", "hash")
    with pytest.raises(WorkdirError, match="process 2 has another data than process 0"):
        require_same("data", "another hash")
