from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from fairjax.run import chips
from fairjax.run.chips import ChipReport, Trace, peak_flops, step_flops


def test_a_chip_is_known_by_the_beginning_of_its_name():
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops("NVIDIA H100 PCIe") == 756e12, "the longer name comes first"
    assert peak_flops("NVIDIA L4") == 121e12
    assert peak_flops("NVIDIA L40S") == 362e12
    assert peak_flops("TPU v5 lite") == 197e12
    assert peak_flops("cpu") is None


@pytest.mark.parametrize("rows", [2, 8])
def test_a_matrix_product_counts_two_operations_for_each_multiply_add(rows):
    product = jax.jit(jnp.matmul)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((rows, 5), (5, 3))]
    assert step_flops(product, *shapes) == 2 * rows * 5 * 3


def test_a_report_counts_each_step_once_and_compares_it_with_what_the_chips_can_do(monkeypatch):
    counted = []
    chip = SimpleNamespace(
        device_kind="NVIDIA L4", memory_stats=lambda: {"peak_bytes_in_use": 3 * 2**30}
    )
    monkeypatch.setattr(chips, "step_flops", lambda step, *_: counted.append(step) or 6.05e13)
    monkeypatch.setattr(chips.jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(chips.jax, "local_devices", lambda: [chip])
    report = ChipReport(lambda frozen: frozen)
    for frozen in ((), ("stem",), ()):
        report.see(frozen, "state", "batch")
    assert counted == [(), ("stem",)]
    expected = {  # two steps a second on four chips of 121e12 each
        "teraflops_per_second": 121.0,
        "mfu": 0.25,
        "device_memory_gib": 3.0,
    }
    assert report.scalars(2.0) == pytest.approx(expected)


def test_on_a_cpu_nothing_is_counted(monkeypatch):
    monkeypatch.setattr(chips, "step_flops", lambda *_: pytest.fail("the step is lowered again"))
    report = ChipReport(lambda frozen: frozen)
    report.see((), "state")
    assert report.scalars(1.0).keys() <= {"device_memory_gib"}


@pytest.mark.parametrize(
    ("after", "last", "steps", "traced"),
    [
        (0, 100, 3, range(11, 14)),
        (50, 100, 3, range(61, 64)),
        (0, 12, 3, range(10, 13)),
        (4, 6, 9, range(5, 7)),
        (0, 100, 0, ()),
    ],
)
def test_steps_after_the_first_ten_are_traced_where_there_are_enough(
    after, last, steps, traced, tmp_path, monkeypatch
):
    running, seen = [False], []
    profiler = SimpleNamespace(
        start_trace=lambda folder: running.__setitem__(0, folder == tmp_path),
        stop_trace=lambda: running.__setitem__(0, False),
    )
    monkeypatch.setattr(chips.jax, "profiler", profiler)
    with Trace(tmp_path, after=after, last=last, steps=steps) as trace:
        for step in range(after + 1, last + 1):
            trace.before(step)
            seen += [step] * running[0]
    assert seen == [*traced]
    assert not running[0]
