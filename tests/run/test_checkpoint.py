import errno
import itertools
import os
import shutil
import threading
import time
from collections import namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

from fairjax.run import checkpoint, sharding
from fairjax.run.checkpoint import CheckpointError, Checkpoints, abstract_state, lower_is_better
from fairjax.run.state import TrainState


def make_state(step):
    params = {"w": jnp.full((4, 3), float(step))}
    state = TrainState(jnp.int32(step), params, {}, optax.sgd(0.1, 0.9).init(params), None)
    return jax.device_put(state, sharding.replicated(sharding.make_mesh()))


def abstract():
    state = make_state(0)
    return abstract_state(state, sharding.state_shardings(sharding.make_mesh(), state, {}))


def opened(folder, *, keep_last=2, keep_best=1, best_metric="loss"):
    return Checkpoints(folder, keep_last=keep_last, keep_best=keep_best, best_metric=best_metric)


def save(checkpoints, step, loss=None):
    checkpoints.save(
        make_state(step),
        step=step,
        config={"seed": 0},
        position={"step": step},
        metrics=None if loss is None else {"loss": loss},
    )


def damage(folder, step):
    """Cuts every array file of a checkpoint to half its length."""
    files = [p for p in (folder / str(step) / "state").rglob("*") if p.is_file()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_what_is_saved_comes_back(tmp_path):
    with opened(tmp_path) as checkpoints:
        assert checkpoints.restore(abstract()) is None
        save(checkpoints, 3)
        checkpoints.wait()
    with opened(tmp_path) as checkpoints:
        state, position = checkpoints.restore(abstract())
    np.testing.assert_array_equal(state.params["w"], np.full((4, 3), 3.0))
    assert position["step"] == 3


def test_a_write_has_all_the_time_it_needs_whatever_the_clock_says(tmp_path, monkeypatch):
    clock, looks = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: clock() + 24 * 3600 * (next(looks) % 2))
    with opened(tmp_path) as checkpoints:
        save(checkpoints, 1)
        checkpoints.wait()
        save(checkpoints, 2)
    assert next(looks) > 20, "orbax looks at the clock"
    with opened(tmp_path) as checkpoints:
        assert checkpoints.restore(abstract())[1]["step"] == 2


def test_a_folder_that_cannot_be_made_is_told_at_once_and_leaves_no_thread_waiting(
    tmp_path, monkeypatch
):
    mkdir = os.mkdir

    def full(path, *arguments, **options):
        if "tmp" in os.path.basename(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(os, "mkdir", full)
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="No space left"), opened(tmp_path) as checkpoints:
        save(checkpoints, 1)
        checkpoints.wait()
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
        assert not thread.is_alive(), thread.name


def test_weights_that_two_devices_share_go_on_in_the_hands_of_four(tmp_path):
    kernel = jnp.arange(12.0 * 3).reshape(12, 3)
    params = {"head": {"kernel": kernel}, "w": jnp.ones((4, 3))}
    split = {"head/kernel": PartitionSpec("model")}

    def spread(shards):
        state = TrainState(
            jnp.int32(1), params, {}, optax.sgd(0.1, 0.9).init(params), {"params": params}
        )
        return state, sharding.state_shardings(sharding.make_mesh(shards), state, split)

    with opened(tmp_path) as checkpoints:
        state = jax.device_put(*spread(2))
        checkpoints.save(state, step=1, config={}, position={}, metrics=None)
        checkpoints.wait()
        state, _ = checkpoints.restore(abstract_state(*spread(4)))
    for part in (state.params, state.opt_state[0].trace, state.average["params"]):
        assert part["head"]["kernel"].addressable_shards[0].data.shape == (3, 3)
        assert part["w"].addressable_shards[0].data.shape == (4, 3)
    np.testing.assert_array_equal(state.params["head"]["kernel"], kernel)


def test_an_optimiser_spread_over_four_devices_goes_on_whole_and_back(tmp_path):
    params = {"head": {"kernel": jnp.arange(8.0 * 3).reshape(8, 3)}, "w": jnp.ones((3, 12))}
    params["odd"] = jnp.ones((3, 5))
    split = {"head/kernel": PartitionSpec("model")}
    state = TrainState(jnp.int32(1), params, {}, optax.adam(0.1).init(params), None)
    state = jax.tree.map(lambda x: x + 1, state)

    def spread(shards, shard_optimizer):
        mesh = sharding.make_mesh(shards)
        kinds = sharding.state_shardings(mesh, state, split, shard_optimizer=shard_optimizer)
        return state, kinds

    def shapes(state):
        moments = state.opt_state[0].mu
        moments = {"kernel": moments["head"]["kernel"], "w": moments["w"], "odd": moments["odd"]}
        return {name: x.addressable_shards[0].data.shape for name, x in moments.items()}

    with opened(tmp_path) as checkpoints:
        first = jax.device_put(*spread(2, True))
        assert shapes(first) == {"kernel": (4, 3), "w": (3, 3), "odd": (3, 5)}
        assert first.params["w"].addressable_shards[0].data.shape == (3, 12)
        checkpoints.save(first, step=1, config={}, position={}, metrics=None)
        checkpoints.wait()
        whole, _ = checkpoints.restore(abstract_state(*spread(1, False)))
        again, _ = checkpoints.restore(abstract_state(*spread(4, True)))
    assert shapes(whole) == {"kernel": (8, 3), "w": (3, 12), "odd": (3, 5)}
    assert shapes(again) == {"kernel": (2, 3), "w": (3, 3), "odd": (3, 5)}
    for other in (whole, again):
        jax.tree.map(np.testing.assert_array_equal, other, state)


def test_the_newest_and_the_best_are_kept(tmp_path):
    with opened(tmp_path) as checkpoints:
        for step, loss in ((1, 0.5), (2, 0.1), (3, 0.3), (4, None), (5, 0.4)):
            save(checkpoints, step, loss)
        checkpoints.wait()
        assert (checkpoints.latest_step, checkpoints.best_step) == (5, 2)
    kept = {path.name for path in tmp_path.iterdir() if path.name.isdigit()}
    assert kept == {"2", "4", "5"}


def test_a_checkpoint_cut_short_gives_way_to_the_one_before(tmp_path, caplog):
    with opened(tmp_path) as checkpoints:
        save(checkpoints, 1)
        save(checkpoints, 2)
        checkpoints.wait()
    damage(tmp_path, 2)
    with opened(tmp_path) as checkpoints:
        state, _ = checkpoints.restore(abstract())
        assert int(state.step) == 1
        save(checkpoints, 2)  # the damaged one is out of the way
        checkpoints.wait()
    with opened(tmp_path) as checkpoints:
        assert int(checkpoints.restore(abstract())[0].step) == 2


def saved_twice(folder):
    with opened(folder) as checkpoints:
        save(checkpoints, 1, loss=0.5)
        save(checkpoints, 2, loss=0.4)
        checkpoints.wait()


def restored_step(folder):
    with opened(folder) as checkpoints:
        return int(checkpoints.restore(abstract())[0].step)


def steps_in(folder):
    return {path.name for path in folder.iterdir() if path.name.isdigit()}


def test_weights_that_were_altered_are_noticed_and_set_aside(tmp_path, caplog):
    folder = tmp_path / "checkpoints"
    saved_twice(folder)
    # As a flipped bit: another state, well-formed, under the checksums of the one that was saved.
    with opened(tmp_path / "other") as others:
        others.save(make_state(2.5), step=2, config={"seed": 0}, position={"step": 2}, metrics=None)
        others.wait()
    shutil.rmtree(folder / "2" / "state")
    (tmp_path / "other" / "2" / "state").rename(folder / "2" / "state")
    with caplog.at_level("WARNING"):
        assert restored_step(folder) == 1
    assert "params/w is not what was saved: its checksum differs" in caplog.text
    assert steps_in(folder) == {"1"}
    assert (tmp_path / checkpoint.ASIDE / "2" / "state").is_dir(), "moved, not deleted"


@pytest.mark.parametrize("text", ['{"step": 3}', '{"step": 2, "best": 0.1}', "[]", "", "\xff"])
@pytest.mark.parametrize("item", ["position", "config", "checksums"])
def test_a_damaged_small_file_gives_way_to_the_checkpoint_before(tmp_path, item, text):
    folder = tmp_path / "checkpoints"
    saved_twice(folder)
    (folder / "2" / item / "metadata").write_text(text, encoding="latin-1")
    assert restored_step(folder) == 1


@pytest.mark.parametrize("text", ["", "{", '{"loss": 0.9}', '{"loss": "x"}', "[]", "\xff\xfe"])
def test_damaged_validation_metrics_are_written_anew(tmp_path, text):
    folder = tmp_path / "checkpoints"
    saved_twice(folder)
    (folder / "2" / "metrics" / "metrics").write_text(text, encoding="latin-1")
    with opened(folder) as checkpoints:
        assert (checkpoints.best_step, int(checkpoints.restore(abstract())[0].step)) == (2, 2)


def as_before_checksums(folder):
    for path in folder.glob("*/checksums"):
        shutil.rmtree(path)


def test_checkpoints_from_before_there_were_checksums_are_read(tmp_path):
    folder = tmp_path / "checkpoints"
    saved_twice(folder)
    as_before_checksums(folder)
    assert restored_step(folder) == 2


@pytest.mark.parametrize("text", ["", "{", '{"loss": "x"}', "[]"])
def test_metrics_that_are_damaged_beyond_repair_cost_no_state(tmp_path, text):
    folder = tmp_path / "checkpoints"
    saved_twice(folder)
    as_before_checksums(folder)
    (folder / "2" / "metrics" / "metrics").write_text(text)
    with opened(folder) as checkpoints:
        assert (checkpoints.best_step, int(checkpoints.restore(abstract())[0].step)) == (1, 2)


def test_a_checkpoint_that_cannot_be_read_for_a_moment_stays_and_is_read_later(tmp_path):
    folder = tmp_path / "checkpoints"
    saved_twice(folder)
    hidden = tmp_path / "hidden"
    (folder / "2" / "position" / "metadata").rename(hidden)
    loop = folder / "2" / "position" / "metadata"
    loop.symlink_to(loop)  # opening it is an error of the system: too many levels of links
    with opened(folder) as checkpoints, pytest.raises(CheckpointError, match="cannot be read now"):
        checkpoints.restore(abstract())
    assert steps_in(folder) == {"1", "2"}
    loop.unlink()
    hidden.rename(loop)
    assert restored_step(folder) == 2


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
def test_an_error_of_the_system_that_is_gone_when_looked_at_again_is_no_damage(
    tmp_path, monkeypatch, number
):
    folder = tmp_path / "checkpoints"
    saved_twice(folder)
    with opened(folder) as checkpoints:
        restore = checkpoints._manager.restore

        def fails_once(step, **items):
            checkpoints._manager.restore = restore
            try:
                raise OSError(number, os.strerror(number))
            except OSError as error:  # as orbax passes it on
                raise ValueError("cannot read the state") from error

        checkpoints._manager.restore = fails_once
        with pytest.raises(CheckpointError, match=f"now .2: {os.strerror(number)}"):
            checkpoints.restore(abstract())
        assert int(checkpoints.restore(abstract())[0].step) == 2


def test_a_disk_too_full_for_a_checkpoint_is_said_before_one_is_begun(tmp_path, monkeypatch):
    with opened(tmp_path) as checkpoints:
        save(checkpoints, 1)
        checkpoints.wait()
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 80))
        with pytest.raises(CheckpointError, match="0 MiB free; make room .step 1 is saved"):
            save(checkpoints, 2)
    assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} == {"1"}


def test_when_none_can_be_read_that_is_said(tmp_path):
    with opened(tmp_path) as checkpoints:
        save(checkpoints, 1)
        checkpoints.wait()
    damage(tmp_path, 1)
    with (
        opened(tmp_path) as checkpoints,
        pytest.raises(CheckpointError, match="no checkpoint in .* can be read .step 1"),
    ):
        checkpoints.restore(abstract())


@pytest.mark.parametrize(
    ("metric", "lower"), [("loss", True), ("age_mae", True), ("race_accuracy", False)]
)
def test_losses_and_errors_are_minimised(metric, lower):
    assert lower_is_better(metric) is lower
