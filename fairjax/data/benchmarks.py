"""The benchmarks of pairs that a face model can be tested on."""

from fairjax.data import bfw, lfw, rfw
from fairjax.data.faces import BenchmarkSettings
from fairjax.data.phantom import benchmark as phantom_benchmark

BENCHMARKS: dict[str, type[BenchmarkSettings]] = {
    "bfw": bfw.BfwPairs,
    "lfw": lfw.LfwPairs,
    "phantom": phantom_benchmark.PhantomPairs,
    "rfw": rfw.RfwPairs,
}
