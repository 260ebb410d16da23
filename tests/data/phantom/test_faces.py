import hashlib
import json
from typing import Any, NamedTuple

import numpy as np
import pytest
from dataset_example import loaded
from sklearn.linear_model import Ridge

from fairjax.data import phantom
from fairjax.data.dataset import Dataset, Examples
from fairjax.data.phantom import GENDERS, GROUPS, NEUTRAL, SPLITS, Differential
from fairjax.data.phantom import drawing as phantom_drawing
from fairjax.data.phantom import person as phantom_face
from fairjax.data.stream import order

SETTINGS: dict[str, Any] = {
    "root": "",
    "seed": 3,
    "image_size": 32,
    "identities": 80,
    "images_per_identity": 3,
    "split": (0.6, 0.2, 0.2),
    "differential": {"kind": "none", "group": "amber", "size": 0.0},
}


def load(**changes: Any) -> Dataset:
    settings = {**SETTINGS, **changes}
    seed = settings.pop("seed")
    return loaded({"name": "phantom", **settings}, seed=seed)


def planted(kind: str, size: float, **changes: Any) -> Dataset:
    return load(differential={"kind": kind, "group": "jade", "size": size}, **changes)


def pictures(
    identities: int,
    images: int,
    *,
    size: int = 32,
    differential: Differential = NEUTRAL,
    seed: int = 3,
    **changed: int,
) -> tuple[np.ndarray, np.ndarray, phantom.People]:
    """Drawings, the person in each, and what is true of them."""
    identity, image = np.divmod(np.arange(identities * images), images)
    who = phantom.people(identity, seed=seed)
    who = who._replace(**{name: np.full_like(who.age, value) for name, value in changed.items()})
    drawn = phantom.draw(
        identity, image, who, seed=seed, image_size=size, differential=differential
    )
    return drawn, identity, who


def everything(examples: Examples) -> np.ndarray:
    read = examples.read(np.arange(len(examples)))
    assert isinstance(read, np.ndarray)
    return read


# --- the numbers behind the pictures ---------------------------------------------------------


def test_words_are_splitmix64() -> None:
    # Two outputs of the reference generator from state 1234567, published with it.
    state = np.array([1234567], np.uint64) + order.GOLDEN * np.array([1, 2], np.uint64)
    expected = [6457827717110365317, 3203168211198807973]
    np.testing.assert_array_equal(order.mix(state), np.array(expected, np.uint64))


def test_draws_have_the_moments_they_claim_and_are_independent() -> None:
    rows = [np.arange(20000)]
    words = phantom_drawing.words(5, rows, ["one", "two"])
    normal, uniform = phantom_drawing.unit_normal(words), order.unit_uniform(words)
    np.testing.assert_allclose(normal.mean(axis=1), 0, atol=4 / 20000**0.5)
    np.testing.assert_allclose(normal.std(axis=1), 1, atol=0.02)
    np.testing.assert_allclose(uniform.mean(axis=1), 0.5, atol=0.01)
    np.testing.assert_allclose(uniform.var(axis=1), 1 / 12, atol=0.002)
    assert abs(np.corrcoef(normal)[0, 1]) < 0.03
    other_seed = phantom_drawing.unit_normal(phantom_drawing.words(6, rows, ["one"]))
    assert abs(np.corrcoef(normal[0], other_seed[0])[0, 1]) < 0.03
    assert abs(np.corrcoef(normal[0][1:], normal[0][:-1])[0, 1]) < 0.03


@pytest.mark.parametrize("sigma", [0.0, 0.2, 0.7, 1.0, 3.3, 22.4])
def test_blur_kernel_has_the_variance_asked_for(sigma: float) -> None:
    taps = phantom_drawing.blur_kernel(sigma).astype(np.float64)
    offset = np.arange(len(taps)) - len(taps) // 2
    np.testing.assert_allclose(taps.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose((taps * offset**2).sum(), sigma**2, rtol=1e-5, atol=1e-12)
    np.testing.assert_array_equal(taps, taps[::-1])


def test_people_are_balanced_and_ages_uniform() -> None:
    who = phantom.people(np.arange(8000), seed=3)
    assert all(column.dtype == np.int32 for column in who)
    cells = who.group * 2 + who.gender
    for start in range(8):  # any run of eight people has every group and gender once
        np.testing.assert_array_equal(np.sort(cells[start : start + 8]), np.arange(8))
    assert who.age.min() == 1 and who.age.max() == 100
    decades = np.bincount((who.age - 1) // 10, minlength=10)
    assert np.abs(decades - 800).max() < 4 * 800**0.5
    by_group = [who.age[who.group == g].mean() for g in range(4)]
    np.testing.assert_allclose(by_group, 50.5, atol=4 * 28.9 / 2000**0.5)


# --- pictures depend on their row alone ------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "blur", "contrast", "likeness"])
def test_one_by_one_equals_a_batch(kind: str) -> None:
    size = 0.05 if kind == "blur" else 0.5 if kind != "none" else 0.0
    test = planted(kind, size, identities=140, image_size=64).splits["test"]
    batch = everything(test)
    assert len(batch) > 2 * phantom_drawing.BLOCK // 64**2  # more than one block
    assert batch.dtype == np.uint8 and batch.shape == (len(test), 64, 64, 3)
    for row in range(len(test)):
        np.testing.assert_array_equal(test.read(np.array([row]))[0], batch[row])
    order = np.arange(len(test))[::-1]
    np.testing.assert_array_equal(test.take(order[:9]).read(np.arange(9)), batch[order[:9]])


def test_windows_hold_their_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow, *_ = pictures(400, 1)
    whole = (slice(0, None), slice(0, None))
    monkeypatch.setattr(phantom_drawing._Sheet, "window", lambda *_: whole)
    wide, *_ = pictures(400, 1)
    np.testing.assert_array_equal(narrow, wide)


def test_pictures_are_the_recorded_bits_on_every_machine() -> None:
    # Change the number and GENERATOR_VERSION together, when the drawing is meant to change.
    blurred, *_ = pictures(8, 2, size=45, differential=Differential("blur", "jade", 0.03))
    plain, *_ = pictures(8, 4, size=32)
    digest = hashlib.sha256(blurred.tobytes() + plain.tobytes()).hexdigest()[:16]
    assert (phantom.GENERATOR_VERSION, digest) == ("1", "cc050082f27a24b3")


def test_seed_person_and_picture_each_change_the_drawing() -> None:
    base, *_ = pictures(2, 2)
    other_seed, *_ = pictures(2, 2, seed=4)
    assert len(np.unique(np.concatenate([base, other_seed]).reshape(8, -1), axis=0)) == 8


def test_every_size_shows_the_same_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(phantom_face.IMAGE_UNIFORM, "noise", (0.0, 0.0))
    small, *_ = pictures(30, 1, size=32)
    for size in (64, 224):
        large, *_ = pictures(30, 1, size=size)
        factor = size // 32
        shrunk = large.reshape(30, 32, factor, 32, factor, 3).mean(axis=(2, 4))
        for one, two in zip(small, shrunk, strict=True):
            assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("attribute", ["group", "gender", "age"])
def test_a_counterfactual_changes_the_face_and_not_the_scene(attribute: str) -> None:
    low, *_ = pictures(40, 1, size=64, **{attribute: 1})
    high, *_ = pictures(40, 1, size=64, **{attribute: 0 if attribute != "age" else 90})
    moved = (low != high).any(axis=-1)
    assert (moved.mean(axis=(1, 2)) > 0.01).all()
    assert not moved[:, :, 0].any() and not moved[:, :, -1].any()


def test_a_contact_sheet_has_a_row_a_person() -> None:
    sheet = phantom.contact_sheet(
        seed=3, image_size=32, identities=3, images=2, differential=NEUTRAL
    )
    drawn, *_ = pictures(3, 2)
    assert sheet.shape == (96, 64, 3)
    np.testing.assert_array_equal(sheet[64:, 32:], drawn[5])


# --- the dataset -----------------------------------------------------------------------------


def test_splits_keep_people_whole_and_groups_balanced() -> None:
    data = load(identities=83, images_per_identity=2)
    assert tuple(data.splits) == SPLITS
    seen = [set(examples.cluster.tolist()) for examples in data.splits.values()]
    assert [len(people) for people in seen] == [50, 16, 17]
    assert set.union(*seen) == set(range(83)) and sum(map(len, seen)) == 83
    assert seen[0] == set(range(50))  # a head over the training people needs no more classes
    for examples in data.splits.values():
        cells = np.bincount(examples.labels["group"] * 2 + examples.labels["gender"], minlength=8)
        assert np.ptp(cells) <= 2  # one person of two pictures
        assert len(set(examples.ids.tolist())) == len(examples)
        np.testing.assert_array_equal(examples.labels["identity"], examples.cluster)
        assert examples.cluster.dtype == np.int64
        assert set(examples.labels) == set(data.attributes)
        for name, label in examples.labels.items():
            assert label.dtype == np.int32 and label.shape == (len(examples),)
            assert data.attributes[name].low <= label.min()
            assert label.max() <= data.attributes[name].high
    assert data.attributes["group"].values == GROUPS
    assert data.attributes["gender"].values == GENDERS
    assert data.attributes["age"].values == () and data.attributes["age"].unit == "years"


def test_manifest_counts_what_is_there() -> None:
    data = load()
    manifest = json.loads(json.dumps(data.manifest))
    for name, examples in data.splits.items():
        assert manifest["images"][name] == len(examples)
        for g, group in enumerate(GROUPS):
            for s, gender in enumerate(GENDERS):
                both = (examples.labels["group"] == g) & (examples.labels["gender"] == s)
                assert manifest["counts"][name][group][gender] == both.sum() > 0
    assert manifest["generator_version"] == phantom.GENERATOR_VERSION
    assert manifest["people"] == {"train": 48, "validation": 16, "test": 16}
    assert manifest["differential"] == SETTINGS["differential"]


def test_hash_changes_with_anything_that_changes_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = [
        load(**change).manifest["hash"]
        for change in (
            {},
            {"seed": 4},
            {"image_size": 33},
            {"identities": 81},
            {"images_per_identity": 4},
            {"split": (0.5, 0.25, 0.25)},
            {"differential": {"kind": "blur", "group": "jade", "size": 0.01}},
        )
    ]
    monkeypatch.setattr("fairjax.data.phantom.faces.GENERATOR_VERSION", "another")
    hashes.append(load().manifest["hash"])
    assert len(set(hashes)) == len(hashes)
    monkeypatch.undo()
    assert load().manifest["hash"] == hashes[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"root": "faces"}, "drawn, not read"),
        ({"seed": -1}, "seed=-1"),
        ({"image_size": 31}, "image_size=31 must be between 32 and 224"),
        ({"image_size": 225}, "image_size=225 must be between 32 and 224"),
        ({"images_per_identity": 0}, "images_per_identity=0"),
        ({"split": (0.6, 0.3, 0.2)}, "sum to 1"),
        ({"split": (0.8, 0.2)}, "must be 3 shares"),
        ({"split": (0.8, 0.2, 0.0)}, "above 0"),
        ({"identities": 18}, "without a group .* use at least 19"),
        ({"differential": {"kind": "none"}}, "differential.group is missing"),
        ({"differential": {"kind": "dust", "group": "jade", "size": 0.1}}, "choose one of none"),
        ({"differential": {"kind": "blur", "group": "teal", "size": 0.1}}, "choose one of amber"),
        ({"differential": {"kind": "blur", "group": "jade", "size": 0.2}}, "between 0 and 0.1"),
        ({"differential": {"kind": "blur", "group": "jade", "size": -0.1}}, "between 0 and 0.1"),
        ({"differential": {"kind": "none", "group": "jade", "size": 0.1}}, "between 0 and 0.0"),
        (
            {"differential": {"kind": "blur", "group": "jade", "size": float("nan")}},
            "a finite number",
        ),
    ],
)
def test_impossible_settings_are_refused_in_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as refusal:
        load(**change)
    assert "\n" not in str(refusal.value) and "config." in str(refusal.value)


# --- planted differentials -------------------------------------------------------------------


def test_size_zero_is_neutral() -> None:
    plain = load(identities=24).splits
    for kind in ("share", "blur", "contrast", "likeness", "label_noise"):
        for name, examples in planted(kind, 0.0, identities=24).splits.items():
            np.testing.assert_array_equal(everything(examples), everything(plain[name]))
            for label in examples.labels:
                np.testing.assert_array_equal(examples.labels[label], plain[name].labels[label])


@pytest.mark.parametrize(("kind", "size"), [("blur", 0.05), ("contrast", 0.6), ("likeness", 0.7)])
def test_only_the_group_s_pictures_change(kind: str, size: float) -> None:
    plain, _, who = pictures(48, 2)
    apart, *_ = pictures(48, 2, differential=Differential(kind, "jade", size))
    changed = (plain != apart).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(changed, who.group == GROUPS.index("jade"))


def test_blur_spreads_a_point_by_its_standard_deviation() -> None:
    planes = np.zeros((3, 1, 101, 101), np.float32)
    planes[:, :, 50, 50] = 1
    spread = phantom_drawing._blurred(planes, phantom_drawing.blur_kernel(4.0))[0, 0]
    offset = np.arange(101) - 50
    np.testing.assert_allclose((spread.sum(axis=0) * offset**2).sum(), 16, rtol=1e-4)
    np.testing.assert_allclose((spread.sum(axis=1) * offset**2).sum(), 16, rtol=1e-4)
    flat = np.full((3, 2, 40, 40), 0.25, np.float32)  # nothing is lost at the border
    taps = phantom_drawing.blur_kernel(4.0)
    np.testing.assert_allclose(phantom_drawing._blurred(flat, taps), flat, rtol=1e-5)


def test_contrast_keeps_its_share_of_the_distance_from_grey(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(phantom_face.IMAGE_UNIFORM, "noise", (0.0, 0.0))
    plain, _, who = pictures(16, 1)
    faded, *_ = pictures(16, 1, differential=Differential("contrast", "jade", 0.75))
    jade = who.group == GROUPS.index("jade")
    expected = 127.5 + 0.25 * (plain[jade].astype(float) - 127.5)
    np.testing.assert_allclose(faded[jade], expected, atol=0.7)


def test_likeness_draws_people_together_by_its_size() -> None:
    identity = np.arange(2, 402, 4)
    who = phantom.people(identity, seed=3)
    free, alike = (
        phantom_face.looks(identity, 0 * identity, who, seed=3, keep=np.full(100, keep))
        for keep in (1.0, 0.25)
    )
    for name in ("head_width", "eye_x", "hair_volume", "brow_gap", "stripe_phase", "hair_hue"):
        np.testing.assert_allclose(alike[name].std(), 0.25 * free[name].std(), rtol=1e-3)
    for name in ("yaw", "gain", "smile", "noise"):
        np.testing.assert_array_equal(alike[name], free[name])


def test_share_leaves_people_of_the_group_out_of_training_only() -> None:
    plain, apart = load(), planted("share", 0.55)
    group_of = apart.splits["train"].labels["group"][::3]
    np.testing.assert_array_equal(np.bincount(group_of), [12, 12, 6, 12])  # 0.55 x 12 is 6.6
    kept = np.isin(plain.splits["train"].ids, apart.splits["train"].ids)
    assert (plain.splits["train"].labels["group"][~kept] == GROUPS.index("jade")).all()
    np.testing.assert_array_equal(
        everything(plain.splits["train"])[kept], everything(apart.splits["train"])
    )
    for name in ("validation", "test"):
        np.testing.assert_array_equal(plain.splits[name].ids, apart.splits[name].ids)


def test_label_noise_strikes_the_group_s_training_labels_at_its_rate() -> None:
    settings = {"identities": 2000, "images_per_identity": 4}
    plain, apart = load(**settings).splits, planted("label_noise", 0.3, **settings).splits
    jade = plain["train"].labels["group"] == GROUPS.index("jade")
    wrong = {}
    for name, label in apart["train"].labels.items():
        wrong[name] = label != plain["train"].labels[name]
        assert not wrong[name][~jade].any()
        rate = wrong[name][jade].mean()
        assert rate == 0 if name == "group" else abs(rate - 0.3) < 4 * (0.21 / jade.sum()) ** 0.5
    assert abs(np.corrcoef(wrong["gender"][jade], wrong["age"][jade])[0, 1]) < 0.1
    mistaken = apart["train"].labels["identity"][wrong["identity"]]
    assert (mistaken % 4 == GROUPS.index("jade")).all() and mistaken.max() < 1200
    np.testing.assert_array_equal(apart["train"].cluster, plain["train"].cluster)
    rows = np.flatnonzero(wrong["gender"])[:20]
    np.testing.assert_array_equal(apart["train"].read(rows), plain["train"].read(rows))
    for name in ("validation", "test"):
        for label in plain[name].labels:
            np.testing.assert_array_equal(plain[name].labels[label], apart[name].labels[label])


# --- what can be read from the pictures ------------------------------------------------------


class Readings(NamedTuple):
    """Held-out accuracies of ridge classifiers."""

    gender: float
    group: float


def linear_readings(features: np.ndarray, who: phantom.People, *, strength: float) -> Readings:
    """What a linear model reads from standardised features; the last third is held out."""
    features = features.reshape(len(features), -1).astype(np.float32)
    train = np.arange(len(features)) < len(features) * 2 // 3
    features = (features - features[train].mean(0)) / features[train].std(0)
    targets = np.concatenate([np.eye(2)[who.gender], np.eye(4)[who.group]], axis=1)
    model = Ridge(alpha=features.shape[1] * strength)
    guess = model.fit(features[train], targets[train].astype(np.float32)).predict(features[~train])
    return Readings(
        float((guess[:, :2].argmax(axis=1) == who.gender[~train]).mean()),
        float((guess[:, 2:].argmax(axis=1) == who.group[~train]).mean()),
    )


def pooled_orientation(drawn: np.ndarray) -> np.ndarray:
    """Derivatives, their products, a mean over cells: one layer of a convolutional network."""
    x = drawn.astype(np.float32) / 255
    right, down = x[:, 2:30, 3:31] - x[:, 2:30, 1:29], x[:, 3:31, 2:30] - x[:, 1:29, 2:30]
    energy = (right**2 + down**2).sum(axis=-1) + 0.02
    level, slanted = (right**2 - down**2).sum(axis=-1), (2 * right * down).sum(axis=-1)
    maps = np.stack([level / energy, slanted / energy, level, slanted, energy], axis=-1)
    return maps.reshape(len(x), 7, 4, 7, 4, 5).mean(axis=(2, 4))


def test_labels_need_more_than_colour_a_pixel_or_a_linear_model() -> None:
    drawn, _, who = pictures(2400, 1)
    colour = linear_readings(drawn.mean(axis=(1, 2)), who, strength=0.3)
    assert colour.gender < 0.56 and 0.25 < colour.group < 0.40
    pixels = linear_readings(drawn, who, strength=3.0)
    assert 0.55 < pixels.gender < 0.75 and 0.32 < pixels.group < 0.55
    local = linear_readings(pooled_orientation(drawn), who, strength=0.3)
    assert pixels.gender + 0.08 < local.gender < 0.93
    assert pixels.group + 0.20 < local.group < 0.93

    each = drawn.reshape(len(drawn), -1).astype(np.float32)
    each = (each - each.mean(axis=0)) / each.std(axis=0)
    for label in (who.gender, who.age, *(who.group == group for group in range(4))):
        signal = (label - label.mean()) / label.std()
        assert np.abs(signal @ each / len(drawn)).max() < 0.45


def verification_auc(differential: Differential) -> list[float]:
    """Per group, how often a pair of one person is more alike than a pair of two, of the group."""
    drawn, identity, who = pictures(160, 4, differential=differential)
    face = drawn[:, 4:28, 6:26].astype(np.float64).reshape(len(drawn), 6, 4, 5, 4, 3)
    feature = face.mean(axis=(2, 4)).reshape(len(drawn), -1, 3)
    feature -= feature.mean(axis=1, keepdims=True)
    feature = feature.reshape(len(drawn), -1)
    feature /= np.linalg.norm(feature, axis=1, keepdims=True)
    areas = []
    for group in range(4):
        own = who.group == group
        cosine = feature[own] @ feature[own].T
        same = identity[own][:, None] == identity[own]
        above = np.triu(np.ones_like(same), 1).astype(bool)
        mated, nonmated = cosine[above & same], np.sort(cosine[above & ~same])
        areas.append(float((np.searchsorted(nonmated, mated) / len(nonmated)).mean()))
    return areas


def test_people_can_be_told_apart_and_likeness_makes_it_harder() -> None:
    free = verification_auc(NEUTRAL)
    assert min(free) > 0.65 and max(free) < 0.95
    alike = verification_auc(Differential("likeness", "jade", 0.8))
    assert alike[2] < free[2] - 0.08
    assert [alike[0], alike[1], alike[3]] == [free[0], free[1], free[3]]
