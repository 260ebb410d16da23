"""From `Examples` to host batches, by tf.data.

Training batches are an endless stream whose position is one integer, the step: asking for the
stream from step k on gives what skipping k batches gives, down to the byte, and the image of one
(seed, epoch, row) doesn't depend on batch size, process count or where the run resumed. Images
leave as uint8; the device normalises them.
"""

import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from absl import logging

from fairjax.data.dataset import Examples
from fairjax.data.stream.augment import (
    DRAWS,
    Augment,
    affine_matrices,
    colour_matrices,
    pixel_function,
)
from fairjax.data.stream.decode import corrupt_image, decode, import_tensorflow, resize
from fairjax.data.stream.order import balanced_rows_at, classes_of, rows_at, uniforms

VIEWS = ("image", "image_2")  # the keys of a batch's images
PADDING = -1  # stands where a batch has no row
ALIGNMENT = 64  # bytes; what TensorFlow takes for granted of its buffers
QUEUED = 2  # batches planned and read ahead of tf.data
FILL_BATCH = 64  # images decoded at a time when a cache is filled

# From a step to the rows of one process's part of its batch, and their epochs.
RowsOfStep = Callable[[int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class ImagesInMemory:
    """An `Examples.read` over decoded images, uint8 [n, size, size, 3]."""

    images: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.images[rows]


class Batches(Iterator[dict[str, np.ndarray]]):
    """Host batches, and how long their reader stood waiting for them.

    Attributes:
      waited_s: Seconds spent inside `next`, in all; it only grows. The step waited for data for the
        share of the wall time by which it grows over the logging interval.
    """

    def __init__(
        self,
        examples: Examples,
        dataset: Any,
        *,
        steps: range,
        rows_of_step: RowsOfStep,
        feed: "_Feed",
    ) -> None:
        self.waited_s = 0.0
        self._examples = examples
        self._batches = dataset.as_numpy_iterator()
        self._steps = iter(steps)
        self._rows_of_step = rows_of_step
        self._feed = feed
        weakref.finalize(self, feed.stop)  # at the latest when the interpreter ends

    def __next__(self) -> dict[str, np.ndarray]:
        tf = import_tensorflow()
        _, rows = self._rows_of_step(next(self._steps))
        start = time.perf_counter()
        try:
            views = next(self._batches)
        except tf.errors.OpError as error:
            if self._feed.failure is not None:  # so this is only its echo
                raise self._feed.failure from None
            raise corrupt_image(self._examples, rows[rows != PADDING]) or error from None
        finally:
            self.waited_s += time.perf_counter() - start
        mask = rows != PADDING
        if not mask.all():
            there = mask[:, None, None, None]
            views = tuple(np.where(there, image, 0).astype(np.uint8) for image in views)
        labels = {
            name: np.where(mask, label[rows], 0).astype(label.dtype)
            for name, label in self._examples.labels.items()
        }
        images = dict(zip(VIEWS, views, strict=False))
        return {**images, "index": rows.astype(np.int32), "mask": mask, **labels}


def train_batches(
    examples: Examples,
    *,
    batch_size: int,
    image_size: int,
    seed: int,
    start_step: int,
    process_index: int,
    process_count: int,
    augment: Augment,
    cache_mb: int,
    second: Augment | None = None,
    shuffle: bool = True,
    balance: str = "",
    images_per_class: int = 1,
    threads: int = 0,
) -> Batches:
    """The endless training stream from a step on.

    Example j of step s stands at place s * batch_size + j of the stream, which is epoch after epoch
    without a gap: no example is dropped, and a batch may hold the end of one epoch and the start
    of the next. A balanced stream has rounds of classes in place of epochs. Each process gets a
    contiguous part of every global batch, in process order.

    Args:
      examples: The training split.
      batch_size: Size of the global batch; a multiple of `process_count`.
      image_size: Height and width that images are resized to, in pixels; even.
      seed: Seed of the run; it fixes order and augmentation.
      start_step: The first step; 0 for a new run.
      process_index: Which process this is, from 0.
      process_count: How many processes share the batch.
      augment: Random changes.
      cache_mb: Decoded images are kept in memory when they take at most so many MiB.
      second: Random changes of a second view of each image, drawn apart; None gives one view.
      shuffle: Whether each epoch has its own random order.
      balance: A label whose classes come equally often, whatever their sizes, such as "identity" or
        "group"; "" takes every example once an epoch. An unknown class (-1) is one of them.
      images_per_class: Examples of a class that follow one another when it comes; `batch_size` is a
        multiple of it, and a class is whole in one batch.
      threads: Size of tf.data's own thread pool; 0 leaves it to tf.data.

    Returns:
      An iterator of dicts: "image" uint8 [local_batch, image_size, image_size, 3], "image_2"
      likewise where there is a second view, "index" int32 [local_batch] (the row in `examples`),
      "mask" bool [local_batch] (all True), and each label.

    Raises:
      ValueError: If a size is impossible.
      DataError: From the iterator or at once, if an image can't be decoded; it names the image.
    """
    local = _local_batch(examples, batch_size, image_size, process_index, process_count)
    n = len(examples)
    if batch_size % images_per_class:
        raise ValueError(f"{batch_size=} must be a multiple of {images_per_class=}.")
    classes = classes_of(examples.labels[balance]) if balance else None

    def rows_of_step(step: int) -> tuple[np.ndarray, np.ndarray]:
        first = step * batch_size + process_index * local
        positions = np.arange(first, first + local)
        if classes is not None:
            return balanced_rows_at(positions, classes=classes, seed=seed, each=images_per_class)
        return rows_at(positions, n=n, seed=seed, shuffle=shuffle)

    return _batches(
        cache_images(examples, image_size=image_size, cache_mb=cache_mb, threads=threads),
        image_size=image_size,
        rows_of_step=rows_of_step,
        steps=range(start_step, sys.maxsize),
        views=(augment,) if second is None else (augment, second),
        seed=seed,
        threads=threads,
    )


def eval_batches(
    examples: Examples,
    *,
    batch_size: int,
    image_size: int,
    process_index: int,
    process_count: int,
    cache_mb: int,
    second: Augment | None = None,
    threads: int = 0,
) -> Batches:
    """Every example once, in order, as it is.

    The last global batch is filled up: there "mask" is False, "index" is -1, labels are 0 and
    images black. Every process gets the same number of batches of the same size.

    Args:
      examples: The split.
      batch_size: Size of the global batch; a multiple of `process_count`.
      image_size: Height and width that images are resized to, in pixels; even.
      process_index: Which process this is, from 0.
      process_count: How many processes share the batch.
      cache_mb: Limit of the cache in MiB. To keep the images from one evaluation to the next, pass
        examples that went through `cache_images`.
      second: Random changes of a second view of each image, the same at every evaluation; None
        gives one view.
      threads: Size of tf.data's own thread pool; 0 leaves it to tf.data.

    Returns:
      An iterator of dicts as `train_batches` gives, which ends.

    Raises:
      ValueError: If a size is impossible.
      DataError: From the iterator or at once, if an image can't be decoded; it names the image.
    """
    local = _local_batch(examples, batch_size, image_size, process_index, process_count)
    rows_of_step = _in_order(len(examples), batch_size, process_index * local, local)
    return _batches(
        cache_images(examples, image_size=image_size, cache_mb=cache_mb, threads=threads),
        image_size=image_size,
        rows_of_step=rows_of_step,
        steps=range(-(-len(examples) // batch_size)),
        views=(Augment(),) if second is None else (Augment(), second),
        seed=0,
        threads=threads,
    )


def cache_images(
    examples: Examples, *, image_size: int, cache_mb: int, threads: int = 0
) -> Examples:
    """The same examples with their images decoded, resized and in memory, if they fit.

    Args:
      examples: Any examples.
      image_size: Height and width that images are resized to, in pixels; even.
      cache_mb: Do nothing if they would take more MiB than this.
      threads: Size of tf.data's own thread pool; 0 leaves it to tf.data.

    Returns:
      Examples whose `read` gives uint8 arrays; `examples` itself if they don't fit or are in memory
      at this size already.

    Raises:
      DataError: If an image can't be decoded; it names the image.
    """
    shape = (len(examples), image_size, image_size, 3)
    needed_mb = np.prod(shape, dtype=float) / 2**20
    if _images_in_memory(examples, image_size) is not None:
        return examples
    if needed_mb > cache_mb:
        logging.info(
            "%d images need %.0f MiB, more than cache_mb=%d: decoding them anew in every epoch.",
            len(examples),
            needed_mb,
            cache_mb,
        )
        return examples
    start = time.perf_counter()
    images = _aligned(shape)
    batches = _batches(
        examples,
        image_size=image_size,
        rows_of_step=_in_order(len(examples), FILL_BATCH, 0, FILL_BATCH),
        steps=range(-(-len(examples) // FILL_BATCH)),
        views=(Augment(),),
        seed=0,
        threads=threads,
    )
    for batch in batches:
        images[batch["index"][batch["mask"]]] = batch["image"][batch["mask"]]
    logging.info(
        "decoded %d images to %.0f MiB in %.1f s",
        len(examples),
        needed_mb,
        time.perf_counter() - start,
    )
    return replace(examples, read=ImagesInMemory(images))


def _batches(
    examples: Examples,
    *,
    image_size: int,
    rows_of_step: RowsOfStep,
    steps: range,
    views: Sequence[Augment],
    seed: int,
    threads: int,
) -> Batches:
    """The tf.data graph: plan and read a batch at a time, then do the pixels in parallel."""
    tf = import_tensorflow()
    local = len(rows_of_step(steps.start)[1])
    read, read_type, decode = _reading(examples, image_size)
    purposes = ("augment", "augment the second view")
    pixels = [pixel_function(image_size, moves=a.moves, colours=a.colours) for a in views]

    def prepare(step: int) -> tuple[Any, ...]:
        epochs, rows = rows_of_step(step)
        matrices: list[np.ndarray] = []
        for augment, purpose in zip(views, purposes, strict=False):
            draws = uniforms(seed, purpose, epochs, rows, len(DRAWS))
            matrices.append(affine_matrices(augment, draws, image_size))
            matrices.append(colour_matrices(augment, draws))
        return read(np.maximum(rows, 0)), *matrices

    feed = _Feed(prepare, steps, (read_type, *[tf.int32] * 2 * len(views)))

    def render(encoded: Any, *matrices: Any) -> tuple[Any, ...]:
        images = tf.ensure_shape(decode(encoded), (local, image_size, image_size, 3))
        rendered = []
        for k, augment in enumerate(views):
            if augment.moves or augment.colours:
                affine = tf.ensure_shape(matrices[2 * k], (local, 2, 3))
                colour = tf.ensure_shape(matrices[2 * k + 1], (local, 3, 4))
                rendered.append(pixels[k](images, affine, colour))
            else:
                rendered.append(images)
        return tuple(rendered)

    plain = tf.autograph.experimental.do_not_convert
    dataset = tf.data.Dataset.range(len(steps)).map(plain(lambda _: feed.queue.dequeue()))
    dataset = dataset.map(plain(render), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    dataset = dataset.prefetch(2).with_options(options)
    return Batches(examples, dataset, steps=steps, rows_of_step=rows_of_step, feed=feed)


class _Feed:
    """A thread that runs `prepare` on each step in turn and puts the results in a queue.

    Python stays out of tf.data's own threads: dropping a tf.data iterator holds Python's lock while
    it waits for the calls in flight, so a `tf.numpy_function` among them would never return.
    """

    def __init__(self, prepare: Callable[[int], Any], steps: range, types: tuple[Any, ...]) -> None:
        tf = import_tensorflow()
        self.queue = tf.queue.FIFOQueue(QUEUED, types)
        self.failure: Exception | None = None

        def run() -> None:
            try:
                for step in steps:
                    self.queue.enqueue(prepare(step))
            except tf.errors.CancelledError:
                pass  # stop() closed the queue
            except Exception as error:  # whatever it is, it is raised where a batch is asked for
                self.failure = error
                self.queue.close()

        self._thread = threading.Thread(target=run, name="fairjax-feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with suppress(import_tensorflow().errors.CancelledError):  # it is closed already
            self.queue.close(cancel_pending_enqueues=True)
        if self._thread is not threading.current_thread():  # the garbage collector runs anywhere
            self._thread.join()


def _reading(
    examples: Examples, image_size: int
) -> tuple[Callable[[np.ndarray], Any], Any, Callable[[Any], Any]]:
    """How to read: a host function of the rows, its result's dtype, and the tensor op after it."""
    tf = import_tensorflow()
    in_memory = _images_in_memory(examples, image_size)
    if in_memory is not None:
        # Shares memory with the array. A gather in TensorFlow leaves Python's lock alone.
        images = tf.experimental.dlpack.from_dlpack(in_memory.__dlpack__())
        return lambda rows: rows, tf.int64, lambda rows: tf.gather(images, rows)
    if isinstance(examples.read(np.zeros(1, np.int64)), np.ndarray):
        return (
            examples.read,
            tf.uint8,
            lambda images: resize(tf.ensure_shape(images, (None, None, None, 3)), image_size),
        )
    image = tf.TensorSpec((image_size, image_size, 3), tf.uint8)
    return (
        lambda rows: np.array(examples.read(rows), dtype=object),
        tf.string,
        lambda encoded: tf.map_fn(
            lambda file: decode(file, image_size),
            tf.ensure_shape(encoded, (None,)),
            fn_output_signature=image,
        ),
    )


def _in_order(n: int, batch_size: int, offset: int, local: int) -> RowsOfStep:
    """Rows in order, PADDING after the last."""

    def rows_of_step(step: int) -> tuple[np.ndarray, np.ndarray]:
        rows = step * batch_size + offset + np.arange(local)
        return np.zeros_like(rows), np.where(rows < n, rows, PADDING)

    return rows_of_step


def _images_in_memory(examples: Examples, image_size: int) -> np.ndarray | None:
    """The decoded images, if `cache_images` has kept them at this size."""
    read = examples.read
    if isinstance(read, ImagesInMemory) and read.images.shape[1] == image_size:
        return read.images
    return None


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """An uninitialised uint8 array that TensorFlow can use where it lies."""
    size = int(np.prod(shape))
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].reshape(shape)


def _local_batch(
    examples: Examples, batch_size: int, image_size: int, process_index: int, process_count: int
) -> int:
    """Checks the sizes and gives the rows in a batch of one process."""
    if not len(examples):
        raise ValueError("There are no examples to make batches of.")
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"batch_size={batch_size} must be a positive multiple of the {process_count} processes."
        )
    if not 0 <= process_index < process_count:
        raise ValueError(f"process_index={process_index} must lie in [0, {process_count}).")
    if image_size < 2 or image_size % 2:
        raise ValueError(f"image_size={image_size} must be positive and even.")
    if taken := {*VIEWS, "index", "mask"} & set(examples.labels):
        raise ValueError(f"The batch's own key {min(taken)!r} can't be the name of a label.")
    return batch_size // process_count
