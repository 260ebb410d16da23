"""What every protocol promises: the same numbers for 2, 3 or 8 groups, in any order of the rows."""

import functools
import json
import math

import numpy as np
import pytest
from every_entry import tiny_section

from fairjax import config
from fairjax.core.comparisons import Pairs
from fairjax.core.results import load_results, save_results
from fairjax.protocols import PROTOCOLS

PEOPLE, IMAGES = 12, 3  # of each group, and of each person
NAMES = ("amber", "birch", "coral", "dune", "ebony", "fern", "gold", "haze")
every_protocol = pytest.mark.parametrize("name", PROTOCOLS)
numbers_of_groups = pytest.mark.parametrize("groups", [2, 3, 8])


def predictions(groups: int) -> tuple[dict[str, np.ndarray], Pairs]:
    """What any method predicts of the people of so many groups; the first fares worst by far."""
    rng = np.random.default_rng(groups)
    person = np.repeat(np.arange(groups * PEOPLE), IMAGES)
    group = (person // PEOPLE).astype(np.int32)
    n, worst = len(person), group == 0
    anchor = rng.normal(size=(groups * PEOPLE, 8))
    anchor[:PEOPLE, 0] += 4  # who look alike
    embedding = anchor[person] + 0.3 * rng.normal(size=(n, 8))
    gender = (person % 2).astype(np.int32)
    wrong = rng.random(n) < np.where(worst, 0.5, 0.05)
    sure = np.where(wrong, 0.2, 0.8)
    age = rng.integers(1, 90, n).astype(np.int32)
    columns = {
        "id": np.array([f"image{k:04d}" for k in range(n)]),
        "cluster": person.astype(np.int64),
        "identity": person.astype(np.int32),
        **dict.fromkeys(("race", "group", "subgroup"), group),
        "gender": gender,
        "age": age,
        "pred_age": age + rng.normal(0, np.where(worst, 20, 2), n),
        "prob_gender": np.where(gender[:, None] == [0, 1], sure[:, None], 1 - sure[:, None]),
        "loss": rng.gamma(2, np.where(worst, 4.0, 1.0)),
        "alignment_view": rng.gamma(2, np.where(worst, 0.4, 0.1)),
        "embedding": embedding,
        "embedding_view": embedding,
    }
    first, second = np.triu_indices(n, 1)
    mated = person[first] == person[second]
    kept = mated | (group[first] == group[second]) & (rng.random(len(mated)) < 0.3)
    first, second, mated = first[kept], second[kept], mated[kept]
    return columns, Pairs(first, second, mated, np.arange(len(mated)) % 10)


@functools.cache
def measured(name: str, groups: int, *, turned: bool = False, seed: int = 0):
    """The protocol's results, with its defaults but for 20 resamples; with `turned`, rows anew."""
    columns, pairs = predictions(groups)
    if turned:
        order = np.random.default_rng(1).permutation(len(columns["id"]))
        place = np.argsort(order)
        columns = {key: column[order] for key, column in columns.items()}
        pairs = Pairs(place[pairs.first], place[pairs.second], pairs.mated, pairs.fold)
    section = tiny_section(config.protocol, name).to_dict()
    protocol = PROTOCOLS[section.pop("name")]
    section |= {"bias_fmrs": (1e-2,)} if section.get("bias_fmrs") else {}
    attributes = {
        **dict.fromkeys(("race", "group", "subgroup"), NAMES[:groups]),
        "gender": ("male", "female"),
        "age": (),
        "identity": (),
    }
    return protocol.measure(
        columns,
        protocol.settings(**section),
        attributes=attributes,
        seed=seed,
        limits=["Nobody is real."],
        **({"pairs": pairs} if protocol.compares_pairs else {}),
    )


def key_of(measure):
    group = tuple(sorted(measure.group.items()))
    return measure.name, measure.across, measure.at, measure.system, group


def summaries(results):
    """Names of the gaps and their tests, but for ratios, which need errors in every group."""
    names = {measure.name for measure in results.measures if measure.across}
    ratios = ("max_over", "sum_abs_log10", "inequity")
    return {name for name in names if not any(ratio in name for ratio in ratios)}


@every_protocol
@numbers_of_groups
def test_every_group_has_its_numbers_and_every_gap_its_noise_floor(name, groups):
    results = measured(name, groups)
    assert results.protocol["name"] == name
    assert results.protocol["groups"] == list(NAMES[:groups])
    keys = [key_of(measure) for measure in results.measures]
    assert len(set(keys)) == len(keys), "two measures go by one name"
    assert summaries(results) == summaries(measured(name, 3))
    by_group = {}
    for measure in results.measures:
        if not measure.across and set(measure.group.values()) & set(NAMES):
            by_group.setdefault((measure.name, measure.at), set()).update(measure.group.values())
    assert by_group
    for measure, seen in by_group.items():
        assert seen & set(NAMES) == set(NAMES[:groups]), measure
    for measure in results.measures:
        assert measure.value is None or math.isfinite(measure.value)
        assert measure.value is not None or measure.note, measure
        if measure.interval is not None:
            assert measure.interval[0] <= measure.interval[1] and measure.level == 0.95
    p_values = {key_of(m): m.value for m in results.measures if m.name.endswith("_p_value")}
    floors = [m for m in results.measures if m.name.endswith("_noise_floor")]
    assert floors and all(m.value is not None and m.value >= 0 for m in floors)
    assert any(value is not None and value < 0.1 for value in p_values.values()), p_values


@every_protocol
def test_the_order_of_the_rows_changes_no_number(name):
    one, other = (
        {key_of(m): m for m in measured(name, 3, turned=turned).measures}
        for turned in (False, True)
    )
    assert one.keys() == other.keys()
    for key, measure in one.items():
        if key[0].endswith(("_noise_floor", "_p_value")):
            continue  # which rest on draws of rows
        assert (measure.n, measure.n_errors) == (other[key].n, other[key].n_errors), key
        if measure.value is not None:
            np.testing.assert_allclose(other[key].value, measure.value, rtol=1e-9, err_msg=key)


@every_protocol
def test_a_seed_gives_the_same_results_again_and_they_survive_being_saved(name, tmp_path):
    one = measured(name, 2)
    again = measured.__wrapped__(name, 2)
    assert one.measures == again.measures and one.protocol == again.protocol
    save_results(tmp_path / "results.json", one)
    loaded = load_results(tmp_path / "results.json")
    assert [key_of(m) for m in loaded.measures] == [key_of(m) for m in one.measures]
    assert [m.value for m in loaded.measures] == [m.value for m in one.measures]
    assert loaded.protocol == json.loads(json.dumps(one.protocol))


@every_protocol
@numbers_of_groups
def test_tables_are_text_and_name_every_group(name, groups):
    tables = PROTOCOLS[name].tables(measured(name, groups), published="")
    assert tables
    for table in tables:
        assert table.title and table.columns
        for row in table.rows:
            assert len(row) == len(table.columns), table.title
            assert all(isinstance(cell, str) for cell in row)
    shown = {text for table in tables for row in (table.columns, *table.rows) for text in row}
    assert set(NAMES[:groups]) <= shown
    assert not set(NAMES[groups:]) & shown


@every_protocol
def test_groups_that_are_not_there_are_one_line(name):
    columns, pairs = predictions(2)
    section = config.protocol(name, group_by="shoe").to_dict()
    protocol = PROTOCOLS[section.pop("name")]
    with pytest.raises(ValueError, match="shoe") as caught:
        protocol.measure(
            columns,
            protocol.settings(**section),
            attributes={"race": ("a", "b")},
            seed=0,
            limits=[],
            **({"pairs": pairs} if protocol.compares_pairs else {}),
        )
    assert "\n" not in str(caught.value)


@every_protocol
def test_a_bad_section_is_one_line_that_says_where(name):
    for change in ({"nonsense": 1}, {"resamples": -1}, {"level": 1.0}):
        with pytest.raises(config.ConfigError) as caught:
            tree = config.base_config()
            tree.eval.protocol = config.protocol(name, **change)
            config.validate(tree)
        message = str(caught.value)
        assert message.startswith(f"config.eval.protocol.{next(iter(change))}"), message
        assert "\n" not in message
