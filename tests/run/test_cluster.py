"""Launchers around a process, as their environment variables say."""

import pytest

from fairjax.run.cluster import find_cluster

SLURM = {
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_NODELIST": "node[003-004]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in (*SLURM, "OMPI_MCA_orte_hnp_uri", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def test_slurm_says_who_this_process_is(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JAX_COORDINATOR_PORT", "8476")
    found = find_cluster(timeout_s=1.0)
    assert (found.coordinator, found.processes, found.process) == ("node003:8476", 2, 1)
    assert found.local_devices == [0]


def test_a_launcher_that_says_nonsense_is_one_line(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_NTASKS", "two")
    with pytest.raises(ValueError, match="of this job cannot be read: invalid literal.*'two'"):
        find_cluster(timeout_s=1.0)


def test_without_a_launcher_the_message_says_what_to_type():
    with pytest.raises(ValueError, match="start it there, or name the processes by --coordinator"):
        find_cluster(timeout_s=1.0)
