import io
import json
import sys

import pytest
from rich.console import Console

from fairjax.run.progress import RunLog, live_display, live_fields, read_metrics


def open_log(folder, **changes):
    settings = {"total_steps": 10, "start_step": 0, "track": (), "writes": True}
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


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (b'{"step": 2, "kind": "train", "loss": 1.0}\n', 2),
        (b"\xff\xfe\n", 1),
        (b"[]\n", 1),
        (b"null\n", 1),
        (b'{"kind": "train", "loss": 1.0}\n', 1),
        (b'{"step": "2", "kind": "train"}\n', 1),
        (b'{"step": 2, "kind": "train", "loss": "x"}\n', 1),
        (b"[" * 100_000 + b"\n", 1),
        (b"\n", 1),
    ],
)
def test_damaged_lines_are_left_out_and_stop_nothing(tmp_path, damage, kept):
    whole = b'{"step": 1, "kind": "train", "loss": 2.0}\n'
    (tmp_path / "metrics.jsonl").write_bytes(whole + damage)
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == kept
    with open_log(tmp_path, start_step=9) as log:
        log.scalars(10, "train", {"loss": 1.0})
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == kept + 1


def test_the_live_line_fits_80_columns_with_all_that_it_must_say():
    screen = io.StringIO()
    console = Console(file=screen, width=80, force_terminal=True, color_system=None)
    display = live_display(console)
    task = display.add_task("training", total=1_200_000, completed=123_456, speed="", loss="")
    display.update(task, **live_fields({"images_per_second": 98765.4, "loss": 12.3456}))
    with console.capture() as captured:
        console.print(display.get_renderable())
    (line,) = captured.get().splitlines()
    assert len(line.rstrip()) <= 80 and "…" not in line
    for part in ("training", "━", "123456/1200000", "98,765 images/s", "loss 12.3", ":"):
        assert part in line, (part, line)


@pytest.mark.slow
def test_tensorboard_gets_the_same_numbers_the_groups_and_the_config(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)  # a second or two of every start, if imported
    for name in ("tensorboard.plugins.hparams.api", "flax.metrics.tensorboard"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with open_log(tmp_path, track=("tensorboard",), config={"seed": 7}) as log:
        log.scalars(7, "train", {"loss": 2.5})
        log.groups(7, {"age_mae_gap": 1.5})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (event,) = events.Tensors("train/loss")
    assert event.step == 7
    assert tensor_util.make_ndarray(event.tensor_proto) == 2.5
    (event,) = events.Tensors("groups/age_mae_gap")
    assert tensor_util.make_ndarray(event.tensor_proto) == 1.5
    started = events.summary_metadata["_hparams_/session_start_info"].plugin_data
    assert started.plugin_name == "hparams" and b"seed" in started.content
    (event,) = events.Tensors("config")
    assert b'"seed": 7' in tensor_util.make_ndarray(event.tensor_proto).ravel()[0]
