"""The FPR penalty by hand, against renderings in numpy and torch, and its symmetries."""

import math
from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from fairjax.losses import (
    CosFace,
    FprPenalty,
    TwoSided,
    fpr_penalty,
    nontarget_logsumexp,
    softmax_loss,
    split_target,
)
from fairjax.models.cosine_head import two_sided_cosines, unit
from fairjax.run import sharding

VARIANTS = ["paper", "tface", "mean_sq"]
COSINES = jnp.array(
    [
        [0.70, 0.40, 0.10, -0.20, 0.30],
        [0.45, 0.30, 0.05, 0.15, -0.10],
        [0.20, 0.25, 0.60, 0.50, -0.30],
    ]
)
LABELS = jnp.array([0, 1, 2])


def make(variant="paper", **changes):
    settings = dict(gamma_u=0.25, alpha=1.0, alpha_mode="constant", power=2.0)
    return FprPenalty(variant=variant, **{**settings, **changes})


@partial(jax.jit, static_argnames=("penalty", "scale", "m"))
def losses(penalty, sides, labels, *, scale=10.0, m=0.15, mask=None):
    """One value a row on CosFace, and the penalty; `sides` are the two-sided cosines."""
    margin = CosFace(scale=scale, margin=m)
    mask = jnp.ones(len(labels), bool) if mask is None else mask
    split = [split_target(side, labels) for side in sides]
    target, others = (TwoSided(*pair) for pair in zip(*split, strict=True))
    margined = margin.target(target.both, jnp.ones(len(labels)), {})
    logsumexp = nontarget_logsumexp(others.both, scale=scale)
    if penalty is None:
        return softmax_loss(margined, logsumexp, scale=scale), None
    result = fpr_penalty(penalty, others, target, margined, mask)
    return softmax_loss(margined - result.shift, logsumexp, scale=scale), result


@partial(jax.jit, static_argnames=("penalty", "scale", "m"))
def mean_loss(penalty, both, through_embedding, labels, **settings):
    return losses(penalty, (both, through_embedding), labels, **settings)[0].mean()


@partial(jax.jit, static_argnums=0, static_argnames=("scale", "m"))
def loss_and_gradients(penalty, cosines, **settings):
    """The gradients are of what reaches both sides, and of what reaches the embeddings alone."""
    grad = jax.value_and_grad(mean_loss, argnums=(1, 2))
    return grad(penalty, cosines, cosines, LABELS, **settings)


def gradients(penalty, **settings):
    """By the cosines, through the weights and through the embeddings."""
    _, (through_weights, rest) = loss_and_gradients(penalty, COSINES, **settings)
    return through_weights, through_weights + rest


@pytest.mark.parametrize(
    ("variant", "m", "loss", "threshold"),
    [
        ("paper", 0.35, 4.4773439102, 0.40),
        ("paper", 0.15, 2.8477599253, 0.40),
        ("tface", 0.35, 5.0999896217, 0.30),
        ("tface", 0.15, 3.1695523806, 0.30),
        ("mean_sq", 0.35, 2.9921753410, 0.40),
        ("mean_sq", 0.15, 1.7039880550, 0.40),
    ],
)
def test_losses_by_hand(variant, m, loss, threshold):
    got, result = losses(make(variant), (COSINES, COSINES), LABELS, m=m)
    np.testing.assert_allclose(got.mean(), loss, rtol=1e-6)
    np.testing.assert_allclose(result.threshold, threshold, rtol=1e-6)


def test_shifts_and_rates_by_hand():
    _, paper = losses(make(), (COSINES, COSINES), LABELS)
    np.testing.assert_allclose(paper.shift, [0, 0.2025, 0.25], rtol=1e-6)
    np.testing.assert_allclose(paper.fpr, [0, 0.25, 0.25])
    # T = 0.30 here: 0.40, 0.45 and 0.50 exceed it, and 0.45 is too far gone to be penalised.
    _, tface = losses(make("tface"), (COSINES, COSINES), LABELS)
    np.testing.assert_allclose(tface.shift, [1.7 * 0.16, 0, 1.6 * 0.25], rtol=1e-6)
    np.testing.assert_allclose(tface.fpr, [0.25, 0.25, 0.25])


def test_gradients_of_paper_by_hand():
    expected = [
        [-2.335755, 1.644729, 0.081886, 0.004077, 0.605062],
        [6.103840, -3.330571, 0.056894, 0.154655, 0.012695],
        [0.145711, 0.240237, -3.313613, 6.240297, 0.000982],
    ]
    through_weights, through_embedding = gradients(make(), m=0.35)
    np.testing.assert_allclose(through_weights, expected, atol=2e-6)
    np.testing.assert_allclose(through_embedding, expected, atol=2e-6)


def test_gradients_of_tface_by_hand():
    through_weights, through_embedding = gradients(make("tface"))
    np.testing.assert_allclose(
        through_weights,
        [
            [-2.759639, 5.696319, 0.096747, 0.004817, 0.714867],
            [2.970947, -3.185419, 0.054415, 0.147915, 0.012142],
            [0.145154, 0.239318, -3.300945, 2.915495, 0.000978],
        ],
        atol=2e-6,
    )
    np.testing.assert_allclose(
        through_embedding,
        [
            [-2.318097, 5.696319, 0.096747, 0.004817, 0.714867],
            [2.970947, -3.185419, 0.054415, 0.147915, 0.012142],
            [0.145154, 0.239318, -2.475709, 8.197007, 0.000978],
        ],
        atol=2e-6,
    )


@jax.jit
def cosines_of(x, weights):
    return two_sided_cosines(unit(x).direction, unit(weights).direction)


def random_case(key, rows=24, dim=8, classes=40):
    keys = jax.random.split(key, 3)
    x = jax.random.normal(keys[0], (rows, dim))
    weights = jax.random.normal(keys[1], (classes, dim))
    labels = jax.random.randint(keys[2], (rows,), 0, classes)
    # Half of the images lie near their class, so that some targets beat every other class.
    x = x.at[::2].set(weights[labels[::2]] + 0.5 * x[::2])
    return x, weights, labels


def by_numpy(variant, c, y, *, gamma_u, m=0.15, alpha=1.0, alpha_mode="constant", power=2.0):
    """Threshold, shifts and losses in float64, row by row, as the definition reads."""
    rows, classes = c.shape
    rate = gamma_u or 1 / (classes - 1)
    target = c[np.arange(rows), y]
    population = [
        c[i, j]
        for i in range(rows)
        for j in range(classes)
        if j != y[i] and not (variant == "tface" and c[i, j] > target[i])
    ]
    k = math.ceil(round(rate * len(population), 9))
    threshold = sorted(population, reverse=True)[k - 1]
    shifts, loss = [], []
    for i in range(rows):
        wrong = [c[i, j] for j in range(classes) if j != y[i]]
        if variant == "paper":
            total = sum(max(v, 0) ** power for v in wrong if v > threshold)
            factor = alpha * (1 + target[i] if alpha_mode == "one_plus_target" else 1)
            shifts.append(factor * total / (classes - 1) / rate)
        elif variant == "tface":
            chosen = [v**2 for v in wrong if threshold < v <= target[i]]
            shifts.append((1 + target[i]) * (np.mean(chosen) if chosen else 0))
        else:
            chosen = [v**2 for v in wrong if threshold <= v < target[i] - m]
            shifts.append(np.mean(chosen) if chosen else 0)
        logits = 10 * np.array([target[i] - m - shifts[i], *wrong])
        loss.append(np.log(np.exp(logits).sum()) - logits[0])
    return threshold, np.array(shifts), np.array(loss)


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("paper", {}),
        ("paper", {"gamma_u": 0.0}),
        ("paper", {"alpha": 0.5, "alpha_mode": "one_plus_target", "power": 1.5}),
        ("tface", {}),
        ("tface", {"gamma_u": 0.0}),
        ("mean_sq", {}),
        ("mean_sq", {"gamma_u": 0.0}),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_values_are_those_of_a_slow_rendering(key, variant, settings, seed):
    x, weights, labels = random_case(jax.random.fold_in(key, seed))
    settings = {"gamma_u": 0.05, **settings}
    sides = cosines_of(x, weights)
    got, result = losses(make(variant, **settings), sides, labels)
    cosines = np.asarray(sides[0])
    threshold, shifts, expected = by_numpy(variant, cosines, np.asarray(labels), **settings)
    assert float(result.threshold) == threshold
    assert (shifts > 0).any()
    np.testing.assert_allclose(result.shift, shifts, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def torch_loss(variant, x, weights, labels, *, rate, m=0.15, scale=10.0):
    """The three programs in torch, on embeddings and weights, with what each of them detaches."""
    import torch

    unit_x = torch.nn.functional.normalize(x)
    unit_w = torch.nn.functional.normalize(weights)
    c, held = unit_x @ unit_w.T, unit_x @ unit_w.detach().T
    rows, classes = c.shape
    index = torch.arange(rows)
    own = torch.nn.functional.one_hot(labels, classes).bool()
    target, target_held = c[index, labels], held[index, labels]
    if variant == "paper":
        k = math.ceil(rate * rows * (classes - 1))
        threshold = c.detach()[~own].topk(k).values[-1]
        chosen = ~own & (c.detach() > threshold)
        rates = (chosen * c.clamp(min=0) ** 2).sum(1) / (classes - 1)
        logits = c + torch.where(own, 0.0, (rates / rate)[:, None])
        logits = torch.where(own, (target - m)[:, None], logits)
    elif variant == "tface":
        wrong = ~own & (c > target[:, None])
        k = math.ceil(rate * (rows * (classes - 1) - int(wrong.sum())))
        ranked = c.detach().masked_fill(own | wrong, -2)
        threshold = ranked.flatten().topk(k).values[-1]
        chosen = ~own & ~wrong & (c > threshold)
        values = chosen * torch.where((target - m)[:, None] > c, c, held)
        squares = values**2
        number = (squares > 0).sum(1).clamp(min=1)
        shift = (1 + target_held) * squares.sum(1) / number
        logits = torch.where(own, (target - m - shift)[:, None], c)
    else:
        k = math.ceil(rate * rows * (classes - 1))
        threshold = c.detach()[~own].topk(k).values[-1]
        chosen = ~own & (c >= threshold) & (c < (target - m)[:, None])
        shift = (chosen * c**2).sum(1) / chosen.sum(1).clamp(min=1)
        logits = torch.where(own, (target - m - shift)[:, None], c)
    return torch.nn.functional.cross_entropy(scale * logits, labels)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_both_gradients_are_those_of_a_torch_rendering(key, variant, seed):
    torch = pytest.importorskip("torch")
    x, weights, labels = random_case(jax.random.fold_in(key, seed))
    penalty = make(variant, gamma_u=0.05)

    def loss(x, weights):
        sides = cosines_of(x, weights)
        return losses(penalty, sides, labels)[0].mean()

    ours, (dx, dw) = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(x, weights)
    tx, tw = (torch.tensor(np.asarray(a), requires_grad=True) for a in (x, weights))
    theirs = torch_loss(variant, tx, tw, torch.tensor(np.asarray(labels, np.int64)), rate=0.05)
    theirs.backward()
    np.testing.assert_allclose(ours, theirs.item(), rtol=1e-5)
    np.testing.assert_allclose(dx, tx.grad, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(dw, tw.grad, rtol=1e-3, atol=1e-5)


def test_weights_get_less_gradient_than_embeddings_in_tface_alone(key):
    x, weights, labels = random_case(key)
    cosines, _ = cosines_of(x, weights)
    for variant in VARIANTS:
        rest = jax.jit(jax.grad(mean_loss, argnums=2), static_argnums=0)(
            make(variant, gamma_u=0.05), cosines, cosines, labels
        )
        assert bool((rest != 0).any()) == (variant == "tface")


def test_at_rank_one_paper_would_be_cosface_and_is_refused():
    # 12 non-target cosines: at gamma_u = 1/13 T is the largest of them, and none exceeds it.
    with pytest.raises(ValueError, match=r"T the largest of the batch's 3 x 4 .* above 0.083"):
        losses(make(gamma_u=1 / 13), (COSINES, COSINES), LABELS)
    penalty = make(gamma_u=1 / 13)
    target, others = split_target(COSINES, LABELS)
    selected = penalty.select(others, others, others.max(), target, target - 0.35)
    np.testing.assert_array_equal(penalty.shift(selected, target, classes=5), np.zeros(3))


def test_ties_at_the_threshold_do_not_count():
    cosines = COSINES.at[1, 0].set(0.5)  # now 0.5 twice; k = 2, so T = 0.5
    _, result = losses(make(gamma_u=1.5 / 12), (cosines, cosines), LABELS)
    assert float(result.threshold) == 0.5
    np.testing.assert_array_equal(result.shift, np.zeros(3))


def test_equal_negatives_are_not_penalised():
    cosines = jnp.full((6, 9), 0.1).at[jnp.arange(6), jnp.arange(6)].set(0.9)
    _, result = losses(make(), (cosines, cosines), jnp.arange(6))
    np.testing.assert_array_equal(result.shift, np.zeros(6))


@pytest.mark.parametrize("variant", VARIANTS)
def test_permuting_the_batch_permutes_the_shifts(key, variant):
    x, weights, labels = random_case(key)
    order = jax.random.permutation(key, len(labels))
    penalty = make(variant, gamma_u=0.05)

    loss, result = losses(penalty, cosines_of(x, weights), labels)
    loss_permuted, permuted = losses(penalty, cosines_of(x[order], weights), labels[order])
    np.testing.assert_allclose(permuted.shift, result.shift[order], rtol=1e-5)
    np.testing.assert_allclose(loss_permuted, loss[order], rtol=1e-5)
    np.testing.assert_allclose(permuted.threshold, result.threshold, rtol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_counts_for_nothing(key, variant):
    x, weights, labels = random_case(key)
    sides = cosines_of(x, weights)
    mask = jnp.arange(24) % 3 > 0
    penalty = make(variant, gamma_u=0.05)
    loss, padded = losses(penalty, sides, labels, mask=mask)
    kept = [side[mask] for side in sides]
    expected, alone = losses(penalty, tuple(kept), labels[mask])
    assert float(padded.threshold) == float(alone.threshold)
    np.testing.assert_allclose(loss[mask], expected, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_shards_of_the_classes_add_up(key, variant):
    x, weights, labels = random_case(key)
    cosines, _ = cosines_of(x, weights)
    target, others = split_target(cosines, labels)
    penalty = make(variant, gamma_u=0.05)
    parts = [others[:, :17], others[:, 17:]]
    excluded = [penalty.excluded(part, target) for part in parts]
    np.testing.assert_array_equal(sum(excluded), penalty.excluded(others, target))
    arguments = (jnp.float32(0.4), target, target - 0.15)
    sums = [penalty.select(part, part, *arguments) for part in parts]
    whole = penalty.select(others, others, *arguments)
    jax.tree.map(lambda a, b, c: np.testing.assert_allclose(a + b, c, rtol=1e-5), *sums, whole)


@pytest.mark.parametrize("variant", VARIANTS)
def test_four_devices_equal_one(key, variant):
    x, weights, labels = random_case(key)
    penalty = make(variant, gamma_u=0.05)

    @jax.jit
    def run(x, weights, labels):
        def loss(x, weights):
            sides = cosines_of(x, weights)
            values, result = losses(penalty, sides, labels)
            return values.mean(), result

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(x, weights)

    mesh = sharding.make_mesh()
    by_batch, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    alone = run(x, weights, labels)
    spread = run(
        *jax.device_put((x, weights, labels), (by_batch, whole, by_batch)),
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), alone, spread)


@pytest.mark.parametrize("power", [0.25, 0.5, 1.5, 2.5])
def test_fractional_powers_have_finite_gradients_even_at_negative_cosines(power):
    cosines = COSINES.at[0, 2].set(0.0) - jnp.float32(0.2)
    penalty = make(gamma_u=0.8, power=power)  # T is negative: zeros and negatives are selected
    _, result = losses(penalty, (cosines, cosines), LABELS)
    assert float(result.threshold) < 0
    _, grads = loss_and_gradients(penalty, cosines)
    assert all(np.isfinite(g).all() for g in grads)
    assert np.isfinite(result.shift).all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("edge", [-1.0, 1.0])
def test_losses_and_gradients_are_finite_at_the_edge(variant, edge):
    cosines = jnp.full((3, 5), edge).at[0, 1].set(-edge)
    value, grads = loss_and_gradients(make(variant), cosines, scale=64.0)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in grads)


@pytest.mark.parametrize(
    ("gamma_u", "classes"), [(1e-4, 28_000), (0.0, 28_000), (0.25, 5), (1.5e-4, 9_000), (0.013, 77)]
)
def test_the_rank_is_exact_at_every_population(gamma_u, classes):
    penalty, rows = make("tface", gamma_u=gamma_u), 512
    rate = Fraction(str(gamma_u)) if gamma_u else Fraction(1, classes - 1)
    for excluded in (0, 1, classes // 2, classes - 2, classes - 1):
        size = rows * (classes - 1 - excluded)
        got = penalty.rank(
            jnp.full(rows, excluded, jnp.int32), jnp.ones(rows, bool), classes=classes
        )
        assert int(got) == max(1, math.ceil(rate * size))


def test_the_papers_batch_has_its_rank():
    assert make(gamma_u=1e-4).largest_rank(512, 28_000) == 1434


def test_auto_allows_an_image_what_the_paper_does():
    assert make(gamma_u=1e-4).allowance(28_001) == pytest.approx(2.8)
    assert make(gamma_u=0.0).allowance(700) == 1
    for classes in (4, 1000, 28_000, 1_000_000):
        assert make(gamma_u="auto").allowance(classes) == pytest.approx(2.8, rel=1e-6)
    assert make(gamma_u="auto").largest_rank(512, 1000) == math.ceil(Fraction("2.8") * 512)
    penalty = make(gamma_u="auto")
    ours, by_rate = (losses(p, (COSINES, COSINES), LABELS)[1] for p in (penalty, make(gamma_u=0.7)))
    np.testing.assert_allclose(ours.shift, by_rate.shift, rtol=1e-6)
    with pytest.raises(ValueError, match="gamma_u='auto' needs four classes or more, not 3"):
        penalty.allowance(3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"variant": "papers"}, "variant='papers' is not known; known: paper, tface, mean_sq"),
        ({"alpha_mode": "fixed"}, "alpha_mode='fixed' is not known"),
        ({"gamma_u": 1.0}, "gamma_u=1.0 must be 0"),
        ({"gamma_u": math.nan}, "gamma_u=nan must be 0"),
        ({"gamma_u": "1e-4"}, "gamma_u='1e-4' must be a number or 'auto'"),
        ({"alpha": -1.0}, "alpha=-1.0 must be 0 or more"),
        ({"power": 0.0}, "power=0.0 must be above 0"),
    ],
)
def test_a_wrong_setting_is_named(settings, said):
    with pytest.raises(ValueError, match=said):
        make(**settings)


def test_a_population_too_large_to_count_is_refused():
    with pytest.raises(ValueError, match=r"pass 2\^31"):
        make(gamma_u=1e-4).largest_rank(4096, 2_000_000)


def test_a_negative_threshold_selects_negative_cosines():
    # Above T = -0.5 lie -0.4 and -0.1; "mean_sq" also takes what lies at T.
    cosines = jnp.array([[-0.9, -0.5, -0.4, -0.1]])
    target = jnp.array([0.8])
    for variant, hits in (("paper", 2.0), ("tface", 2.0), ("mean_sq", 3.0)):
        found = make(variant).select(cosines, cosines, jnp.float32(-0.5), target, target - 0.1)
        assert found.hits.tolist() == [hits], variant
        assert found.above.tolist() == [hits], variant
