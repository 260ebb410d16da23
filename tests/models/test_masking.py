"""The selection is exact in number, follows its weights, and has the stated polarity."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models.masking import kept_count, log_weights, scores, select

BELL = np.exp(-0.5 * ((np.arange(16) - 7.5) / 4) ** 2)


def inclusion(key, weights, *, strength, ratio, draws=20_000):
    """How often each patch is removed."""
    rows = jnp.broadcast_to(jnp.asarray(weights, jnp.float32), (draws, len(weights)))
    return np.asarray(select(scores(key, rows, strength=strength), ratio=ratio).mask.mean(axis=0))


def exact_inclusion(weights, removed):
    """The same by enumerating every order of removal."""
    share = np.zeros(len(weights))
    for order in itertools.permutations(range(len(weights)), removed):
        left, p = weights.sum(), 1.0
        for patch in order:
            p, left = p * weights[patch] / left, left - weights[patch]
        share[list(order)] += p
    return share


@pytest.mark.parametrize("ratio", [0.5, 0.75, 0.9])
def test_the_ratio_is_exact_in_every_row_and_the_ids_lead_back(key, ratio):
    patches = 196
    selection = select(jax.random.normal(key, (8, patches)), ratio=ratio)
    kept = kept_count(patches, ratio)
    assert selection.keep_ids.shape == (8, kept)
    np.testing.assert_array_equal(selection.mask.sum(axis=1), patches - kept)
    assert (np.diff(selection.keep_ids, axis=1) > 0).all()
    np.testing.assert_array_equal(
        np.take_along_axis(selection.mask, np.asarray(selection.keep_ids), axis=1), 0
    )
    listed = np.concatenate([np.zeros((8, kept)), np.ones((8, patches - kept))], axis=1)
    restored = np.take_along_axis(listed, np.asarray(selection.restore_ids), axis=1)
    np.testing.assert_array_equal(restored, selection.mask)


def test_the_source_keeps_49_of_196():
    assert kept_count(196, 0.75) == 49


@pytest.mark.parametrize("ratio", [0.0, 0.999, 1.0])
def test_a_ratio_that_leaves_no_patch_or_takes_none_is_refused(ratio):
    with pytest.raises(ValueError, match="at least one must stay and one go"):
        kept_count(16, ratio)


def test_inclusion_follows_the_weights_as_worked_out(key):
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    worked = (0.715873, 0.608333, 0.441270, 0.234524)
    np.testing.assert_allclose(exact_inclusion(weights, 2), worked, atol=1e-6)
    found = inclusion(key, log_weights(weights, scheme="mask_sensitive"), strength=1.0, ratio=0.5)
    np.testing.assert_allclose(found, worked, atol=0.015)  # 4 standard errors of 20,000 draws


def test_strength_0_is_random_masking_whatever_the_map(key):
    weights = log_weights(BELL, scheme="mask_sensitive")
    np.testing.assert_allclose(inclusion(key, weights, strength=0.0, ratio=0.75), 0.75, atol=0.013)
    flat = log_weights(np.ones(16), scheme="mask_sensitive")
    np.testing.assert_allclose(inclusion(key, flat, strength=1.0, ratio=0.75), 0.75, atol=0.013)
    assert not log_weights(BELL, scheme="random").any()


def test_infinite_strength_removes_the_most_sensitive_every_time(key):
    weights = log_weights(BELL, scheme="mask_sensitive")
    found = inclusion(key, weights, strength=np.inf, ratio=0.75, draws=4)
    most = np.argsort(-BELL, kind="stable")[:12]
    assert set(np.flatnonzero(found == 1)) == set(most)
    assert set(np.unique(found)) == {0.0, 1.0}


def test_the_two_directions_are_mirror_images_and_no_patch_is_excluded(key):
    for options in ({}, {"weights": "rank"}):
        sensitive = log_weights(BELL, scheme="mask_sensitive", **options)
        insensitive = log_weights(BELL, scheme="mask_nonsensitive", **options)
        np.testing.assert_allclose(sensitive, -insensitive)
    found = inclusion(key, sensitive, strength=1.0, ratio=0.75)
    assert (found > 0).all() and (found < 1).all()
    assert found[7] > 0.75 > found[0]


def test_reflected_weights_swap_the_largest_and_the_smallest():
    reflected = np.exp(log_weights(BELL, scheme="mask_nonsensitive", reverse="reflect"))
    share = BELL / BELL.sum()
    np.testing.assert_allclose(reflected, share.max() + share.min() - share, rtol=1e-6)


def test_permuting_the_patches_permutes_the_selection(key):
    noise = jax.random.normal(key, (4, 16))
    order = np.asarray(jax.random.permutation(key, 16))
    straight, permuted = (
        select(noise, ratio=0.75).mask,
        select(noise[:, order], ratio=0.75).mask,
    )
    np.testing.assert_array_equal(permuted, np.asarray(straight)[:, order])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([0.5, -0.1, 0.6], "patch 1 has weight -0.1"),
        ([0.5, 0.5, np.nan], "patch 2 has weight nan"),
        ([0.0, 0.0, 0.0], "all weights are 0"),
    ],
)
def test_a_map_that_says_nothing_sensible_is_refused(weights, words):
    with pytest.raises(ValueError, match=words):
        log_weights(np.array(weights), scheme="mask_sensitive")
