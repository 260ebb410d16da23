"""Phantom people to train on and to test on: splits, planted differentials, settings."""

import numpy as np
import pytest
from dataset_example import loaded
from ml_collections import ConfigDict

from fairjax import config
from fairjax.data.phantom import GROUPS, NEUTRAL, draw, people
from fairjax.data.phantom.benchmark import FIRST


def pairs_of(**changes):
    return config.benchmark(
        "phantom",
        **{
            "image_size": 32,
            "identities": 80,
            "images_per_identity": 3,
            "folds": 2,
            "pairs_per_fold": 6,
            **changes,
        },
    )


def load(*, seed=0, benchmark=None, **changes):
    section = config.dataset(
        "phantom_identities",
        image_size=32,
        identities=40,
        images_per_identity=3,
        held_out=8,
        benchmark=benchmark or pairs_of(),
    ).to_dict()
    return loaded(section | changes, seed=seed)


def planted(kind, size, group="jade"):
    return {"kind": kind, "group": group, "size": size}


def pictures(data, split):
    examples = data.splits[split]
    return dict(zip(examples.ids.tolist(), examples.read(np.arange(len(examples))), strict=True))


def test_people_are_trained_on_held_out_or_tested_on():
    data = load()
    people_in = [set(examples.cluster.tolist()) for examples in data.splits.values()]
    assert len(people_in[0]) == 32
    assert 2 <= len(people_in[1]) <= 8 and 60 <= len(people_in[2]) <= 80  # who is in a pair
    assert len(set.union(*people_in)) == sum(map(len, people_in))
    assert data.attributes["group"].values == GROUPS
    assert sorted(set(data.splits["train"].labels["identity"].tolist())) == list(range(32))


def test_every_group_and_part_has_the_pairs_asked_for():
    data = load()
    pairs, test = data.pairs["test"], data.splits["test"]
    group = test.labels["group"]
    assert (group[pairs.first] == group[pairs.second]).all()
    for g in range(4):
        for fold in range(2):
            inside = (group[pairs.first] == g) & (pairs.fold == fold)
            assert pairs.mated[inside].tolist() == [True] * 6 + [False] * 6
    same = test.cluster[pairs.first] == test.cluster[pairs.second]
    np.testing.assert_array_equal(same, pairs.mated)


def test_pictures_are_those_of_the_person_s_number_and_group():
    test = load(seed=5).splits["test"]
    number = np.array([int(name.split("_")[0]) for name in test.ids.tolist()])
    image = np.array([int(name.split("_")[1]) for name in test.ids.tolist()])
    assert number.min() >= FIRST
    who = people(number, seed=5)
    np.testing.assert_array_equal(test.labels["group"], who.group)
    drawn = draw(number, image, who, seed=5, image_size=32, differential=NEUTRAL)
    np.testing.assert_array_equal(test.read(np.arange(len(test))), drawn)


def test_the_benchmark_does_not_move_with_the_training_people():
    one, other = load(), load(identities=60, held_out=10)
    assert one.splits["test"].ids.tolist() == other.splits["test"].ids.tolist()
    assert one.pairs["test"].first.tolist() == other.pairs["test"].first.tolist()
    assert load(seed=1).splits["test"].ids.tolist() != one.splits["test"].ids.tolist()


def test_likeness_brings_the_people_of_one_group_nearer_and_leaves_the_others_alone():
    plain = load()
    near = load(benchmark=pairs_of(differential=planted("likeness", 0.9)))
    before, after = pictures(plain, "test"), pictures(near, "test")
    assert before.keys() == after.keys()
    group = dict(
        zip(plain.splits["test"].ids.tolist(), plain.splits["test"].labels["group"], strict=True)
    )
    jade = GROUPS.index("jade")
    for name in before:
        assert (before[name] != after[name]).any() == (group[name] == jade)

    def spread(pictures):
        return np.stack([p for name, p in pictures.items() if group[name] == jade]).std(0).mean()

    assert spread(after) < spread(before)
    for name, picture in pictures(near, "train").items():  # what is planted in the test only
        np.testing.assert_array_equal(picture, pictures(plain, "train")[name])
        break


def test_a_share_of_one_group_is_left_out_of_training_and_of_nothing_else():
    plain, fewer = load(identities=80), load(identities=80, differential=planted("share", 0.5))
    counts = fewer.manifest["source"]["by_group"]
    assert {name: n["people"] for name, n in counts.items()} == {
        "amber": 20,
        "cobalt": 20,
        "jade": 10,
        "violet": 20,
    }
    assert plain.splits["test"].ids.tolist() == fewer.splits["test"].ids.tolist()


def test_the_hash_moves_with_all_that_changes_a_picture():
    hashes = {
        data.manifest["hash"]
        for data in (
            load(),
            load(seed=1),
            load(image_size=33),
            load(differential=planted("blur", 0.05)),
            load(benchmark=pairs_of(differential=planted("blur", 0.05))),
        )
    }
    assert len(hashes) == 5
    assert load().manifest["hash"] in hashes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"root": "somewhere"}, "config.data.root='somewhere'"),
        ({"image_size": 16}, "config.data.image_size=16"),
        ({"held_out": 40}, "config.data.identities=40 must be more than held_out=40"),
        ({"held_out": 1}, "config.data.held_out=1 must be 2 or more"),
        ({"identities": FIRST + 1}, f"at most {FIRST}"),
        ({"differential": planted("label_noise", 0.1)}, "'label_noise' is not offered here"),
        ({"differential": planted("blur", 9.0)}, "config.data.differential.size=9.0"),
        ({"benchmark": pairs_of(image_size=16)}, "config.data.benchmark.image_size=16"),
        ({"benchmark": pairs_of(folds=1)}, "config.data.benchmark.folds=1 must be 2 or more"),
        ({"benchmark": pairs_of(pairs_per_fold=0)}, "pairs_per_fold=0 must be 1 or more"),
        ({"benchmark": pairs_of(pairs_per_fold=31)}, "give .30 mated, 405 non-mated.; raise"),
        (
            {"benchmark": {**pairs_of().to_dict(), "differential": planted("blur", 9.0)}},
            "config.data.benchmark.differential.size=9.0",
        ),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_drawn(changes, words):
    if isinstance(changes.get("benchmark"), ConfigDict):
        changes = {"benchmark": changes["benchmark"].to_dict()}
    with pytest.raises(ValueError, match=words):
        load(**changes)
