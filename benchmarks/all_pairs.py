"""All pairs of a gallery: thresholds and error counts by group and by person.

    python benchmarks/all_pairs.py [--images 10000] [--dim 512] [--repeats 3]

The peer is the plain way in numpy: blocks of 2,048 x 2,048 cosines, with pairs of one person masked
by comparing the two people, once for the thresholds and once for the counts. Both take all
processors for the matrix product. One line of JSON: seconds of each, the ratio peer / FairJAX
(above 1 is faster), and the seconds that the matrix product alone takes.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fairjax.core.comparisons import Embeddings
from fairjax.metrics.verification import allowed, threshold_in_tail
from fairjax.protocols.verification.all_pairs import count_all_pairs
from fairjax.protocols.verification.pair_blocks import BLOCK

FMRS = (1e-3, 1e-4, 1e-5)


def gallery(images: int, dim: int, *, seed: int = 0) -> Embeddings:
    """Embeddings of people with five images each, in four groups."""
    rng = np.random.default_rng(seed)
    subject = np.arange(images) // 5
    centre = rng.normal(size=(images // 5 + 1, dim)).astype(np.float32)
    noise = rng.normal(size=(images, dim)).astype(np.float32)
    ids = np.arange(images).astype(str)
    return Embeddings(ids, subject, subject % 4, tuple("abcd"), centre[subject] + noise)


def plain(e: Embeddings) -> tuple[list[float], np.ndarray]:
    """Thresholds at FMRS, and false matches of each couple of groups, from blocks of scores."""
    unit = e.embedding / np.linalg.norm(e.embedding, axis=1, keepdims=True)
    order = np.lexsort((e.subject, e.group))
    unit, subject, group = unit[order], e.subject[order], e.group[order]
    images, size = len(unit), len(e.groups)

    def scores() -> Any:
        for row in range(0, images, BLOCK):
            rows = slice(row, row + BLOCK)
            for column in range(row, images, BLOCK):
                columns = slice(column, column + BLOCK)
                block = np.clip(unit[rows] @ unit[columns].T, -1.0, 1.0)
                block[subject[rows, None] == subject[columns]] = -np.inf
                if row == column:
                    block[np.tril_indices(len(block))] = -np.inf
                yield row, column, block

    _, per_person = np.unique(subject, return_counts=True)
    pairs = images * (images - 1) // 2 - int((per_person * (per_person - 1) // 2).sum())
    kept = allowed(max(FMRS), pairs) + 1
    largest, floor = np.zeros(0, np.float32), np.float32(-1)
    for _, _, block in scores():
        largest = np.concatenate([largest, block[block >= floor]])
        if len(largest) > 2 * kept + BLOCK**2:
            largest = np.partition(largest, len(largest) - kept)[len(largest) - kept :]
            floor = largest.min()
    largest = np.sort(largest)[::-1][:kept]
    thresholds = [threshold_in_tail(largest, pairs=pairs, fmr=fmr) for fmr in FMRS]
    counts = np.zeros((len(FMRS), size, size), np.int64)
    for row, column, block in scores():
        one, other = np.nonzero(block >= np.float32(min(thresholds)))
        score = block[one, other]
        a, b = group[one + row], group[other + column]
        for k, threshold in enumerate(thresholds):
            cell = (a * size + b)[score >= threshold]
            counts[k] += np.bincount(cell, minlength=size**2).reshape(size, size)
    return thresholds, counts + np.swapaxes(np.triu(counts, 1), 1, 2)


def ours(e: Embeddings) -> tuple[list[float], np.ndarray]:
    """The same from FairJAX, which counts by person as well."""
    found = count_all_pairs(e, fmrs=FMRS)
    return found.threshold.tolist(), found.false_matches[:, :-1, :-1]


def product(e: Embeddings) -> None:
    """The cosines of the upper triangle alone, block by block."""
    unit = e.embedding / np.linalg.norm(e.embedding, axis=1, keepdims=True)
    for row in range(0, len(unit), BLOCK):
        for column in range(row, len(unit), BLOCK):
            unit[row : row + BLOCK] @ unit[column : column + BLOCK].T


def seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """Wall-clock and processor seconds of one call."""
    start = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def measure(images: int, dim: int, repeats: int) -> dict[str, Any]:
    """Seconds of both ways, taken in turn.

    Raises:
      AssertionError: If the two ways differ in a threshold or a count.
    """
    e = gallery(images, dim)
    (t, counts), (peer_t, peer_counts) = ours(e), plain(e)
    assert np.allclose(t, peer_t, atol=1e-6) and np.array_equal(counts, peer_counts)
    calls = {"fairjax": ours, "peer": plain, "product_alone": product}
    turns = [
        {name: seconds(partial(call, e)) for name, call in calls.items()} for _ in range(repeats)
    ]
    ratios = sorted(turn["peer"][0] / turn["fairjax"][0] for turn in turns)
    cpu_ratios = [turn["peer"][1] / turn["fairjax"][1] for turn in turns]
    return {
        "images": images,
        "dim": dim,
        "pairs": images * (images - 1) // 2,
        **{f"{name}_seconds": statistics.median(turn[name][0] for turn in turns) for name in calls},
        "ratio": [ratios[0], statistics.median(ratios), ratios[-1]],
        "ratio_of_processor_seconds": statistics.median(cpu_ratios),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "numpy": np.__version__,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps(measure(options.images, options.dim, options.repeats)))
