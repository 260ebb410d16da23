"""Every method, by hand where that can be done, and each on other people than it was fitted on."""

import numpy as np
import pytest
from postprocess_example import faces
from scipy import optimize, special

from fairjax.metrics.logistic import fit_logistic
from fairjax.metrics.verification import fmr, threshold_at_fmr
from fairjax.postprocess import METHODS, centroid, clusters, vmf
from fairjax.postprocess.network import Adam, batches, new_network
from fairjax.postprocess.people import portraits
from fairjax.postprocess.scores import Scores, places

SMALL = {"clusters": 4, "fmr": 0.02, "hidden": 24, "epochs": 12, "batch_size": 64}


@pytest.fixture(scope="module")
def fitting():
    return faces(0)


@pytest.fixture(scope="module")
def judged():
    return faces(1, first=1000)


def settings(name):
    method = METHODS[name]
    return {**method.defaults, **{k: v for k, v in SMALL.items() if k in method.defaults}}


def group_gap(score, scores, target=0.02):
    """Largest over smallest FMR of the groups at one threshold for all pairs within groups."""
    inside = scores.inside & ~scores.mated
    threshold = threshold_at_fmr(score[inside], fmr=target)
    rates = [float(fmr(score[inside & (scores.group[:, 0] == g)], threshold)) for g in (0, 1)]
    return (max(rates) + 1e-3) / (min(rates) + 1e-3)


@pytest.mark.parametrize("name", [n for n in METHODS if METHODS[n].needs != "images"])
def test_every_method_runs_on_other_people_and_is_finite(name, fitting, judged):
    method = METHODS[name]
    arrays = method.fit(fitting, settings(name))
    new = method.apply(arrays, settings(name), judged)
    assert np.isfinite(new).all()
    if method.gives == "embedding":
        assert new.shape == judged.embedding.shape
        np.testing.assert_allclose(np.linalg.norm(new, axis=1), 1, atol=1e-9)
    else:
        assert new.shape == judged.score.shape
        assert new[judged.mated].mean() > new[~judged.mated].mean()
    if method.gives == "probability":
        assert new.min() >= 0 and new.max() <= 1


@pytest.mark.parametrize("name", ["group_norm", "group_thresholds"])
def test_methods_by_group_narrow_the_gap_on_other_people(name, fitting, judged):
    method = METHODS[name]
    new = method.apply(method.fit(fitting, settings(name)), settings(name), judged)
    assert group_gap(new, judged) < 0.6 * group_gap(judged.score, judged)


def test_group_thresholds_become_one_threshold(fitting):
    method = METHODS["group_thresholds"]
    arrays = method.fit(fitting, settings("group_thresholds"))
    new = method.apply(arrays, settings("group_thresholds"), fitting)
    for g in (0, 1):
        own = fitting.inside & ~fitting.mated & (fitting.group[:, 0] == g)
        reached = fmr(new[own], arrays["everyone"][0] - 1e-12)
        assert reached == pytest.approx(0.02, abs=1 / own.sum())


def test_z_and_t_norm_by_hand():
    image = np.array([[0, 4], [1, 4], [2, 4], [3, 5], [0, 5], [1, 5]])
    cohort = Scores(
        score=np.array([0.1, 0.3, 0.9, 0.0, 0.2, 0.6]),
        mated=np.array([False, False, True, False, False, False]),
        group=np.array([[0, 0], [1, 0], [0, 0], [1, 1], [0, 1], [1, 1]]),
        groups=("a", "b"),
        subject=image,
        image=image,
        images=tuple("uvwxyz"),
    )
    one = Scores(
        score=np.array([0.5]),
        mated=np.array([False]),
        group=np.array([[1, 1]]),
        groups=("a", "b"),
        subject=np.array([[8, 9]]),
        image=np.array([[1, 0]]),
        images=("z", "q"),
    )
    named = {"images": list(cohort.images)}

    def norm(name):
        return METHODS[name].apply(METHODS[name].fit(cohort, {}), named, one)[0]

    with pytest.raises(ValueError, match="1 probe images were not seen"):
        norm("t_norm")
    # the reference z: non-mated scores 0, 0.2, 0.6; from probes of group b: 0, 0.6
    one = Scores(**{**vars(one), "image": np.array([[1, 0]])})
    assert norm("z_norm") == pytest.approx((0.5 - 0.8 / 3) / np.std([0, 0.2, 0.6], ddof=1))
    assert norm("z_norm_group") == pytest.approx((0.5 - 0.3) / np.std([0, 0.6], ddof=1))
    # the probe v: 0.3 and 0.6; with references of group b: 0.6 alone
    one = Scores(**{**vars(one), "images": ("z", "v")})
    assert norm("t_norm") == pytest.approx((0.5 - 0.45) / np.std([0.3, 0.6], ddof=1))
    with pytest.raises(ValueError, match="fewer than two different scores of the probe image 'v'"):
        norm("t_norm_group")


def test_fsn_by_hand():
    embedding = np.array([[1.0, 0], [1, 0.1], [-1, 0], [-1, 0.1]])
    scores = Scores(
        score=np.array([0.9, 0.5, 0.1, 0.7]),
        mated=np.zeros(4, bool),
        group=np.zeros((4, 2), np.int64),
        groups=("a",),
        subject=np.arange(8).reshape(4, 2),
        image=np.array([[0, 1], [1, 0], [2, 3], [0, 2]]),
        images=tuple("abcd"),
        embedding=embedding,
    )
    arrays = {"centres": np.array([[1.0, 0], [-1, 0]]), "offset": np.array([0.2, -0.4])}
    got = clusters.apply_fsn(arrays, {}, scores)
    np.testing.assert_allclose(got, [0.7, 0.3, 0.5, 0.7 + 0.1])


def test_faircal_weighs_both_clusters_by_their_pairs():
    scores = faces(2, people=3)
    arrays = {
        "centres": scores.embedding[[0, 4]],
        "curves": np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 1.0]]),
        "pairs": np.array([30.0, 10.0]),
    }
    got = clusters.apply_faircal(arrays, {}, scores)
    nearest = np.argmin(
        np.linalg.norm(scores.embedding[:, None] - arrays["centres"][None], axis=2), axis=1
    )
    row = 5
    x = (scores.score[row] + 1) / 2
    p = [1 / (1 + np.exp(-(a * np.log(x) - b * np.log(1 - x) + c))) for a, b, c in arrays["curves"]]
    k = nearest[scores.image[row]]
    weight = arrays["pairs"][k]
    expected = (weight[0] * p[k[0]] + weight[1] * p[k[1]]) / weight.sum()
    assert got[row] == pytest.approx(expected, rel=1e-12)


def test_a_beta_calibration_is_calibrated_and_never_falls():
    rng = np.random.default_rng(0)
    x = rng.beta(2, 2, 4000)
    mated = rng.random(4000) < x**2 / (x**2 + (1 - x) ** 2)  # a = b = 2, c = 0
    curve = clusters.fit_beta(2 * x - 1, mated)
    cosine = np.linspace(-0.8, 0.8, 9)
    got = clusters.beta_probability(cosine, np.tile(curve, (9, 1)))
    share = (cosine + 1) / 2
    np.testing.assert_allclose(got, share**2 / (share**2 + (1 - share) ** 2), atol=0.03)
    turned = clusters.fit_beta(2 * x - 1, ~mated)
    assert (turned[:2] >= 0).all()
    grid = np.linspace(-1, 1, 50)
    rising = clusters.beta_probability(grid, np.tile(turned, (50, 1)))
    assert (np.diff(rising) >= -1e-12).all()


def test_k_means_finds_clusters_that_lie_apart():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(c, 0.05, (40, 2)) for c in ((0, 0), (3, 0), (0, 3))])
    centres = clusters.k_means(points, clusters=3, seed=1)
    np.testing.assert_allclose(
        centres[np.lexsort(centres.round().T)], [[0, 0], [3, 0], [0, 3]], atol=0.05
    )
    assert len(clusters.k_means(np.ones((5, 2)), clusters=3, seed=0)) == 3


def test_logistic_regression_against_a_general_optimiser():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    y = rng.random(200) < 1 / (1 + np.exp(-(x @ [1.0, -2.0] + 0.5)))

    def loss(beta):
        return beta[:2] @ beta[:2] / 2 + np.sum(
            np.logaddexp(0, -np.where(y, 1, -1) * (x @ beta[:2] + beta[2]))
        )

    best = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8})
    slope, intercept = fit_logistic(x, y, penalty=1.0)
    np.testing.assert_allclose([*slope, intercept], best.x, rtol=1e-4)
    with pytest.raises(ValueError, match="one is missing"):
        fit_logistic(x, np.ones(200, bool))


def finite_difference(loss, weights, name, place):
    step = 1e-6
    values = []
    for sign in (1, -1):
        moved = {key: array.copy() for key, array in weights.items()}
        moved[name][place] += sign * step
        values.append(loss(moved)[0])
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize("which", ["vmf", "centroid"])
def test_gradients_are_those_of_the_loss(which, fitting):
    rng = np.random.default_rng(0)
    portrait = portraits(fitting)
    x, person = portrait.unit[::7], portrait.person[::7]
    weights = new_network(16, 8, residual=False, seed=0)
    weights["first_bias"] += 0.1
    weights["people"] = rng.normal(size=(portrait.people, 16))
    kappa = rng.uniform(5, 9, portrait.people)

    def loss(w):
        if which == "vmf":
            return vmf.loss(w, x, person, kappa, np.sqrt(kappa))
        target = np.cos(np.arange(len(x) * portrait.people)).reshape(len(x), -1)
        same = portrait.group[None] == portrait.group[person][:, None]
        return centroid.loss(w, x, person, target, same, weight=0.7)

    _, gradients = loss(weights)
    for name, place in (
        ("first", (2, 3)),
        ("first_bias", (1,)),
        ("last", (4, 5)),
        ("last_bias", (6,)),
        ("people", (int(person[1]), 2)),
    ):
        expected = finite_difference(loss, weights, name, place)
        assert gradients[name][place] == pytest.approx(expected, rel=1e-4, abs=1e-8), name


def test_the_density_of_the_sphere_integrates_to_one():
    for kappa in (0.5, 20.0):  # on the sphere of three axes C = kappa / (4 pi sinh kappa)
        exact = np.log(kappa / (4 * np.pi * np.sinh(kappa)))
        assert vmf.log_normaliser(kappa, 3) == pytest.approx(exact, rel=1e-9)
    angle = np.linspace(0, np.pi, 200_001)[1:-1]
    for kappa in (2.0, 64.0, 900.0):  # Poisson's integral of the Bessel function of order 255
        exponent = kappa * np.cos(angle) + 510 * np.log(np.sin(angle))
        integral = special.logsumexp(exponent) + np.log(angle[1] - angle[0])
        bessel = integral + 255 * np.log(kappa / 2) - np.log(np.pi) / 2 - special.gammaln(255.5)
        expected = 255 * np.log(kappa) - 256 * np.log(2 * np.pi) - bessel
        assert vmf.log_normaliser(kappa, 512) == pytest.approx(expected, rel=1e-6)


def test_concentrations_follow_the_groups_spread_and_may_be_given(fitting):
    portrait = portraits(fitting)
    tight, wide = vmf.concentrations(portrait, ("a", "b"), {})
    assert tight > wide and (tight + wide) / 2 == pytest.approx(64)
    np.testing.assert_array_equal(
        vmf.concentrations(portrait, ("a", "b"), {"a": 9.0, "b": 4.0}), [9, 4]
    )
    with pytest.raises(ValueError, match="for each group or for none; see 'b'"):
        vmf.concentrations(portrait, ("a", "b"), {"a": 9.0})
    with pytest.raises(ValueError, match="above 0"):
        vmf.concentrations(portrait, ("a", "b"), {"a": 9.0, "b": 0.0})


def test_the_centroid_loss_maps_a_groups_scores_onto_the_reference_groups(fitting):
    arrays = centroid.fit(fitting, settings("centroid"))
    assert arrays["reference"][0] == 0  # the group whose scores lie farther apart
    portrait = portraits(fitting)
    tables = centroid.quantiles(portrait, portrait.centroids(), ("a", "b"))
    middle = len(tables[0][0]) // 2
    assert tables[0][0][middle] > tables[1][0][middle]
    new = centroid.apply(arrays, settings("centroid"), fitting)
    score = np.sum(new[fitting.image[:, 0]] * new[fitting.image[:, 1]], axis=1)
    assert group_gap(score, fitting) < 0.8 * group_gap(fitting.score, fitting)
    with pytest.raises(ValueError, match="the reference 'c' is no group"):
        centroid.fit(fitting, {**settings("centroid"), "reference": "c"})


def test_training_is_repeatable_and_lowers_the_loss():
    rows = [batch.tolist() for batch in batches(5, size=2, epochs=2, seed=0)]
    assert [len(r) for r in rows] == [2, 2, 1, 2, 2, 1]
    assert sorted(sum(rows[:3], [])) == [0, 1, 2, 3, 4]
    weights = {"w": np.array([3.0])}
    adam = Adam(weights, rate=0.1)
    adam.update({"w": 2 * weights["w"]})
    assert weights["w"] == pytest.approx(2.9)  # Adam's first step is its rate


def test_what_a_method_cannot_use_is_refused(fitting):
    unknown = Scores(**{**vars(fitting), "group": fitting.group - 1})
    for name in ("group_norm", "platt", "group_cdf", "group_thresholds"):
        arrays = METHODS[name].fit(fitting, settings(name))
        with pytest.raises(ValueError, match="needs the groups"):
            METHODS[name].apply(arrays, settings(name), unknown)
    for name in ("vmf", "centroid"):
        with pytest.raises(ValueError, match="needs the groups to fit"):
            METHODS[name].fit(unknown, settings(name))
    with pytest.raises(ValueError, match="'b' has fewer than 2 mated pairs"):
        rows = ~(fitting.mated & (fitting.group[:, 0] == 1))
        METHODS["platt"].fit(
            Scores(
                fitting.score[rows],
                fitting.mated[rows],
                fitting.group[rows],
                ("a", "b"),
                fitting.subject[rows],
            ),
            {},
        )
    with pytest.raises(ValueError, match="insufficient data"):
        METHODS["group_thresholds"].fit(fitting, {"fmr": 1e-6})
    with pytest.raises(ValueError, match="1 groups were not seen.*'z'"):
        places(("a", "z"), ("a",), "group")
