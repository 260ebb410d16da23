import json

import pytest

from fairjax.run.progress import RunLog, read_metrics


def open_log(folder, **changes):
    settings = {"total_steps": 10, "start_step": 0, "tensorboard": False, "writes": True}
    return RunLog(folder, **{**settings, **changes})


def test_lines_are_kept_as_they_come(tmp_path):
    with open_log(tmp_path) as log:
        log.scalars(1, "train", {"loss": 2.0})
        log.scalars(2, "validation", {"loss": 1.0})
    assert read_metrics(tmp_path / "metrics.jsonl") == [
        {"step": 1, "kind": "train", "loss": 2.0},
        {"step": 2, "kind": "validation", "loss": 1.0},
    ]


def test_a_resumed_log_drops_what_came_after_its_checkpoint(tmp_path):
    lines = [{"step": s, "kind": "train", "loss": 0.0} for s in (1, 2, 3)]
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4, "ki'
    (tmp_path / "metrics.jsonl").write_text(text)
    with open_log(tmp_path, start_step=2):
        pass
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2]


def test_a_process_that_does_not_write_leaves_nothing(tmp_path):
    with open_log(tmp_path, writes=False) as log:
        log.scalars(1, "train", {"loss": 2.0})
        log.advance(1)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_tensorboard_gets_the_same_numbers(tmp_path):
    with open_log(tmp_path, tensorboard=True) as log:
        log.scalars(7, "train", {"loss": 2.5})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (event,) = events.Tensors("train/loss")
    assert event.step == 7
    assert tensor_util.make_ndarray(event.tensor_proto) == 2.5
