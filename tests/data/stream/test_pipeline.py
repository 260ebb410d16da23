"""The stream of batches: what comes when, and that nothing but (seed, epoch, row) decides it."""

import gc
import io
import os
import subprocess
import sys
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fairjax.data.dataset import DataError, Examples
from fairjax.data.stream import decode
from fairjax.data.stream.augment import Augment
from fairjax.data.stream.pipeline import cache_images, eval_batches, train_batches

N, SIZE = 23, 16
ALL = Augment(
    flip=0.5, rotation_degrees=10.0, crop_scale=(0.5, 1.0), brightness=0.4, contrast=0.4, grey=0.2
)
IN_MEMORY, ON_THE_FLY = 100, 0


def encode(picture, kind="JPEG"):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)
    return file.getvalue()


def examples_of(files):
    n = len(files)
    return Examples(
        ids=np.array([f"face-{k}.jpg" for k in range(n)]),
        labels={"gender": np.arange(n, dtype=np.int32) % 2, "age": np.arange(n, dtype=np.int32)},
        cluster=np.arange(n),
        read=lambda rows: [files[row] for row in rows],
    )


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (N, 5, 6, 3)).astype(np.uint8)
    return examples_of([encode(b.repeat(4, 0).repeat(4, 1)) for b in blocks])


def train(examples, **changes):
    settings = {
        "batch_size": 6,
        "image_size": SIZE,
        "seed": 3,
        "start_step": 0,
        "process_index": 0,
        "process_count": 1,
        "augment": ALL,
        "cache_mb": IN_MEMORY,
        **changes,
    }
    return train_batches(examples, **settings)


def evaluation(examples, **changes):
    settings = {
        "batch_size": 6,
        "image_size": SIZE,
        "process_index": 0,
        "process_count": 1,
        "cache_mb": IN_MEMORY,
        **changes,
    }
    return eval_batches(examples, **settings)


def assert_same(ours, expected):
    assert ours.keys() == expected.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], expected[name], err_msg=name)


def test_training_batch_has_the_agreed_shape(examples):
    batch = next(train(examples))
    assert batch["image"].shape == (6, SIZE, SIZE, 3)
    assert batch["image"].dtype == np.uint8
    assert batch["index"].dtype == np.int32
    assert batch["mask"].tolist() == [True] * 6
    np.testing.assert_array_equal(batch["age"], batch["index"])
    np.testing.assert_array_equal(batch["gender"], batch["index"] % 2)
    assert batch["age"].dtype == np.int32


@pytest.mark.parametrize("cache_mb", [IN_MEMORY, ON_THE_FLY])
def test_a_second_view_leaves_the_first_as_it_is_and_is_drawn_apart(examples, cache_mb):
    plain = train(examples, cache_mb=cache_mb)
    both = train(examples, cache_mb=cache_mb, second=ALL)
    for _ in range(5):
        one, two = next(plain), next(both)
        second = two.pop("image_2")
        assert_same(two, one)
        assert second.shape == one["image"].shape
        assert (second != one["image"]).any(axis=(1, 2, 3)).all()  # of every image


def test_an_evaluation_has_the_same_second_view_every_time_and_black_padding(examples):
    first, again = (list(evaluation(examples, second=ALL)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert_same(one, other)
    for batch, plain in zip(first, evaluation(examples), strict=True):
        np.testing.assert_array_equal(batch["image"], plain["image"])
        assert not batch["image_2"][~batch["mask"]].any()


def test_resumed_stream_equals_the_uninterrupted_one(examples):
    whole = list(islice(train(examples), 9))
    for step in (0, 3, 7):
        for ours, expected in zip(train(examples, start_step=step), whole[step:], strict=False):
            assert_same(ours, expected)
            if ours is whole[-1]:
                break


def test_processes_together_see_the_global_batch(examples):
    whole = train(examples)
    parts = [train(examples, process_index=k, process_count=3) for k in range(3)]
    for _ in range(5):
        pieces = [next(part) for part in parts]
        joined = {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}
        assert_same(joined, next(whole))


def test_image_of_an_example_does_not_depend_on_the_batch_size(examples):
    epoch = {}
    for batch in islice(train(examples, batch_size=1), N):
        epoch[int(batch["index"][0])] = batch["image"][0]
    assert len(epoch) == N
    big = next(train(examples, batch_size=N))
    for row, image in zip(big["index"], big["image"], strict=True):
        np.testing.assert_array_equal(image, epoch[int(row)])


def test_each_epoch_holds_every_row_once_in_its_own_order(examples):
    rows = np.concatenate([batch["index"] for batch in islice(train(examples), N)])
    epochs = rows.reshape(-1, N)  # 23 batches of 6 are 6 epochs of 23
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(N), (6, 1)))
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 6


def test_augmentation_differs_between_epochs_and_seeds(examples):
    def first_row(seed, epoch):
        step = {"batch_size": N, "start_step": epoch, "shuffle": False, "seed": seed}
        return next(train(examples, **step))["image"][0]

    pictures = [first_row(*which) for which in ((0, 0), (0, 1), (1, 0))]
    assert len({picture.tobytes() for picture in pictures}) == 3


def test_plain_stream_in_order_is_the_evaluation_stream(examples):
    plain = train(examples, augment=Augment(), shuffle=False)
    for ours, expected in zip(plain, islice(evaluation(examples), 3), strict=False):
        assert_same(ours, expected)


@pytest.mark.parametrize("size", [SIZE, 24, 32])  # smaller than the files, as high, larger
def test_decoding_on_the_fly_equals_the_cache(examples, size):
    for batches in (train, evaluation):
        kept = batches(examples, cache_mb=IN_MEMORY, image_size=size)
        fresh = batches(examples, cache_mb=ON_THE_FLY, image_size=size)
        for ours, expected in zip(islice(fresh, 4), islice(kept, 4), strict=True):
            assert_same(ours, expected)


def test_arrays_and_files_give_the_same_images(examples):
    pictures = np.stack(
        [np.asarray(Image.open(io.BytesIO(e))) for e in examples.read(np.arange(N))]
    )
    arrays = Examples(examples.ids, examples.labels, examples.cluster, lambda rows: pictures[rows])
    for cache_mb in (ON_THE_FLY, IN_MEMORY):
        for ours, expected in zip(
            evaluation(arrays, cache_mb=cache_mb), evaluation(examples), strict=True
        ):
            assert_same(ours, expected)


def test_image_of_the_right_size_passes_unchanged():
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    batch = next(evaluation(examples_of([encode(picture, "PNG")])))
    np.testing.assert_array_equal(batch["image"][0], picture)


def test_shrinking_averages_rather_than_skips():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 1::4] = picture[:, 2::4] = 255  # white stands where an output pixel has its centre
    image = next(evaluation(examples_of([encode(picture, "PNG")])))["image"][0]
    assert np.abs(image[:, 1:-1].astype(int) - 128).max() <= 3


def test_evaluation_pads_the_last_batch(examples):
    batches = list(evaluation(examples))
    assert [batch["mask"].sum() for batch in batches] == [6, 6, 6, 5]
    last = batches[-1]
    assert last["index"].tolist() == [18, 19, 20, 21, 22, -1]
    assert not last["image"][5].any()
    assert last["image"][4].any()
    assert last["age"].tolist() == [18, 19, 20, 21, 22, 0]


def test_processes_evaluate_every_row_once_in_as_many_batches(examples):
    parts = [list(evaluation(examples, process_index=k, process_count=3)) for k in range(3)]
    assert [len(part) for part in parts] == [4, 4, 4]
    rows = np.concatenate([b["index"][b["mask"]] for part in parts for b in part])
    np.testing.assert_array_equal(np.sort(rows), np.arange(N))
    assert all(b["image"].shape[0] == 2 for part in parts for b in part)


def test_cached_examples_are_decoded_once(examples):
    reads = []
    counted = Examples(
        examples.ids,
        examples.labels,
        examples.cluster,
        lambda rows: reads.append(len(rows)) or examples.read(rows),
    )
    kept = cache_images(counted, image_size=SIZE, cache_mb=IN_MEMORY)
    before = len(reads)
    for _ in range(2):
        list(evaluation(kept))
        next(train(kept))
    assert len(reads) == before
    assert cache_images(counted, image_size=SIZE, cache_mb=ON_THE_FLY) is counted


@pytest.mark.parametrize("cache_mb", [IN_MEMORY, ON_THE_FLY])
def test_undecodable_image_is_named(examples, cache_mb):
    files = list(examples.read(np.arange(N)))
    files[11] = files[11][: len(files[11]) // 2]
    files[20] = b"not an image"
    with pytest.raises(DataError, match=r"^face-11\.jpg: this image can't be decoded"):
        list(evaluation(examples_of(files), cache_mb=cache_mb))


@pytest.mark.parametrize("cache_mb", [IN_MEMORY, ON_THE_FLY])
def test_error_of_a_reader_arrives_as_it_is(examples, cache_mb):
    def read(rows):
        if 13 in rows:
            raise DataError("archive.tar is gone")
        return examples.read(rows)

    broken = Examples(examples.ids, examples.labels, examples.cluster, read)
    with pytest.raises(DataError, match=r"^archive.tar is gone$"):
        list(evaluation(broken, cache_mb=cache_mb))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"process_count": 4}, "batch_size=6 must be a positive multiple of the 4 processes"),
        ({"process_index": 2, "process_count": 2}, "process_index=2"),
        ({"image_size": 15}, "image_size=15 must be positive and even"),
    ],
)
def test_impossible_sizes_are_refused(examples, changes, message):
    for batches in (train, evaluation):
        with pytest.raises(ValueError, match=message):
            batches(examples, **changes)
    with pytest.raises(ValueError, match="no examples"):
        train(examples.take(np.arange(0)))


def test_waiting_time_is_measured(examples):
    batches = train(examples)
    next(batches)
    first = batches.waited_s
    assert first > 0
    next(batches)
    assert batches.waited_s > first


def test_dropping_a_running_stream_does_not_hang(examples):
    for _ in range(2):
        batches = train(examples, cache_mb=ON_THE_FLY)
        next(batches)
        del batches
        gc.collect()


def test_import_starts_neither_tensorflow_nor_jax():
    code = (
        "import sys, fairjax.data.stream.pipeline; print({'jax', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_balanced_stream_has_every_class_equally_often(examples):
    uneven = Examples(
        examples.ids,
        {**examples.labels, "group": np.where(np.arange(N) < 3, 0, np.arange(N) % 2).astype("i4")},
        examples.cluster,
        examples.read,
    )
    for batch in islice(train(uneven, balance="group"), 6):
        assert np.bincount(batch["group"]).tolist() == [3, 3]
    for batch in islice(train(examples, balance="age", batch_size=N), 2):
        assert sorted(batch["index"].tolist()) == list(range(N))


def test_a_balanced_stream_resumes_and_is_shared_by_processes(examples):
    whole = list(islice(train(examples, balance="gender"), 8))
    for ours, expected in zip(
        islice(train(examples, balance="gender", start_step=5), 3), whole[5:], strict=True
    ):
        assert_same(ours, expected)
    parts = [train(examples, balance="gender", process_index=k, process_count=2) for k in range(2)]
    for expected in whole:
        pieces = [next(part) for part in parts]
        assert_same({k: np.concatenate([p[k] for p in pieces]) for k in pieces[0]}, expected)


def test_a_row_that_comes_again_is_augmented_anew(examples):
    labels = {"pair": np.where(np.arange(N) == 0, 0, 1).astype(np.int32)}
    lopsided = Examples(examples.ids, labels, examples.cluster, examples.read)
    batch = next(train(lopsided, balance="pair", batch_size=12))
    own = batch["image"][batch["index"] == 0]
    assert len(own) == 6
    assert len({image.tobytes() for image in own}) == 6


def test_images_of_a_class_come_together_resume_and_are_shared_by_processes(examples):
    settings = {"balance": "gender", "images_per_class": 2, "batch_size": 8}
    whole = list(islice(train(examples, **settings), 6))
    for batch in whole:
        pairs = batch["gender"].reshape(-1, 2)
        assert (pairs[:, 0] == pairs[:, 1]).all()
        assert (batch["index"].reshape(-1, 2)[:, 0] != batch["index"].reshape(-1, 2)[:, 1]).all()
    for ours, expected in zip(
        islice(train(examples, **settings, start_step=4), 2), whole[4:], strict=True
    ):
        assert_same(ours, expected)
    parts = [train(examples, **settings, process_index=k, process_count=2) for k in range(2)]
    for expected in whole:
        pieces = [next(part) for part in parts]
        assert_same({k: np.concatenate([p[k] for p in pieces]) for k in pieces[0]}, expected)
    with pytest.raises(ValueError, match="must be a multiple of images_per_class=3"):
        train(examples, balance="gender", images_per_class=3, batch_size=8)


@pytest.mark.parametrize(("before", "after"), [(None, "2"), ("1", "2"), ("0", "0"), ("3", "3")])
def test_tensorflow_says_nothing_at_a_clean_end_where_jax_came_first(before, after, monkeypatch):
    stub = SimpleNamespace(config=SimpleNamespace(set_visible_devices=lambda *_: None))
    monkeypatch.setitem(sys.modules, "tensorflow", stub)
    if before is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    else:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", before)  # JAX sets 1
    decode.import_tensorflow.__wrapped__()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == after


@pytest.mark.parametrize("before", [None, "0"])
def test_tensorflow_is_imported_without_keras_which_a_user_may_import_later(
    before, tmp_path, monkeypatch
):
    (tmp_path / "tensorflow.py").write_text(
        "import os, types\n"
        "legacy = os.environ['TF_USE_LEGACY_KERAS']\n"
        "config = types.SimpleNamespace(set_visible_devices=lambda *_: None)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    if before is None:
        monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    else:
        monkeypatch.setenv("TF_USE_LEGACY_KERAS", before)
    assert decode.import_tensorflow.__wrapped__().legacy == "1"
    assert os.environ.get("TF_USE_LEGACY_KERAS") == before
    monkeypatch.delitem(sys.modules, "tensorflow")
