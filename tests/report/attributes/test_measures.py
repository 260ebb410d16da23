from fairjax.core.results import Measure, Results
from fairjax.report.attributes import quantities
from fairjax.report.attributes.measures import worst_place, worst_to_best


def rate(value, *, n_errors=50, name="x_fpr", **group):
    return Measure(name, value, "fraction", n=500, group=group, n_errors=n_errors)


def test_worst_depends_on_the_direction_of_the_measure():
    rates = [rate(0.2, g="a"), rate(0.1, g="b"), rate(None, g="c"), rate(0.3, g="d")]
    assert [m.group["g"] for m in worst_to_best(rates)] == ["d", "a", "b"]
    accuracies = [rate(m.value, name="x_accuracy", **m.group) for m in rates]
    assert [m.group["g"] for m in worst_to_best(accuracies)] == ["b", "a", "d"]
    unknown = [rate(m.value, name="x_base_rate", **m.group) for m in rates]
    assert worst_to_best(unknown) == []


def test_equal_groups_are_not_ranked():
    assert worst_to_best([rate(0.2, g="a"), rate(0.2, g="b"), rate(None, g="c")]) == []
    assert worst_place([rate(0.0, g="a"), rate(0.0, g="b")]) is None
    assert worst_place([rate(0.2, g="a"), rate(0.2, g="b"), rate(0.1, g="c")]) is None
    assert worst_place([rate(0.2, g="a"), rate(0.3, g="b"), rate(0.1, g="c")]) == 1


def test_groups_with_few_errors_are_not_called_worst():
    thin = rate(0.9, g="b", n_errors=29)
    assert worst_place([rate(0.2, g="a"), thin, rate(0.1, g="c")]) == 0


def test_a_benchmarks_protocol_is_not_said_of_generated_faces():
    everyone = Measure("age_mae", 4.0, "years", 90)
    real = Results("attributes", {"name": "utkface"}, [everyone], {}, [], {"dataset": "utkface"})
    assert quantities.scope(real).startswith("90 images (protocol utkface). ")
    drawn = Results("attributes", {"name": "utkface"}, [everyone], {}, [], {"dataset": "phantom"})
    assert quantities.scope(drawn) == (
        "90 generated images. Over everyone: age mean absolute error 4.00 years."
    )
