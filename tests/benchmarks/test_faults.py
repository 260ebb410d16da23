"""The fault campaign's judgement: what counts as the same run. Its runs take minutes."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import faults


def outcome():
    weights = {"params": {"w": np.array([1.0, np.nan, -0.0], np.float32)}}
    return {"weights": weights, "measures": [{"value": 0.25, "n": 4}]}


def test_one_bit_or_one_number_is_noticed():
    assert faults.equal(outcome(), outcome())  # NaN included
    flipped, other, narrower = outcome(), outcome(), outcome()
    flipped["weights"]["params"]["w"].view(np.uint8)[0] ^= 1
    other["measures"][0]["n"] = 5
    narrower["weights"]["params"] = {}
    for wrong in (flipped, other, narrower):
        assert not faults.equal(outcome(), wrong)


def test_a_run_that_ends_with_other_numbers_or_not_at_all_is_lost():
    class Run:
        log, code, found = "run.log", 0, outcome()

        def finish(self):
            return self.code

        def outcome(self):
            return self.found

    run = Run()
    assert faults.survived(run, lambda: None, outcome(), finish=True) == ""
    run.code = 1
    assert "ended with 1" in faults.survived(run, lambda: None, outcome(), finish=True)
    run.code, run.found = 0, {}
    assert "other numbers" in faults.survived(run, lambda: None, outcome(), finish=True)

    def refused():
        raise AssertionError("exit code -6")

    assert "exit code -6" in faults.survived(run, refused, {}, finish=False)


@pytest.mark.parametrize(("alive", "code"), [(False, 0), (True, 0)])
def test_a_fault_that_comes_too_late_is_not_counted_as_survived(monkeypatch, alive, code):
    process = SimpleNamespace(is_alive=lambda: alive, pid=1, exitcode=code, join=lambda: None)
    sent = []
    monkeypatch.setattr(faults.os, "kill", lambda pid, number: sent.append(number))
    with pytest.raises(faults.Missed):
        faults.survived(None, lambda: faults.end(process, 15), {}, finish=True)
    assert sent == [15] * alive


def test_the_clock_jumps_a_day_to_and_fro(monkeypatch):
    monkeypatch.setattr(faults.time, "time", lambda: 5000.0)
    faults.shake_clock()
    assert [faults.time.time() for _ in range(4)] == [5000.0, 91400.0, 5000.0, 91400.0]


@pytest.mark.parametrize(("jump", "looks"), [(3600, 0), (0, 300), (-3600, 900)])
def test_the_clock_is_set_back_twice(monkeypatch, jump, looks):
    monkeypatch.setattr(faults.time, "time", lambda: 5000.0)
    faults.jump_clock()
    for _ in range(looks):
        faults.time.time()
    assert faults.time.time() == 5000.0 + jump
