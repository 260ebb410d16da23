"""What a run needs is counted from shapes, and searched with few compilations."""

from pathlib import Path

import jax
import pytest

from fairjax.config import ConfigError, load, margin, method, vit
from fairjax.run import capacity, sharding
from fairjax.run.build import build_run
from fairjax.run.recipe import make_recipe

TINY = Path(__file__).parents[1] / "configs"


def faces(name="streamed", shards=2):
    config = load(str(TINY / "tiny_faces.py"))
    config.backbone = vit(dim=16, depth=1, heads=2)
    config.method = method(
        "cosine_margin", margin=margin("cosface"), head=dict(name=name, chunk=64)
    )
    config.train.head_shards = shards
    return config


def recipe_of(config, classes=1000):
    mesh = sharding.make_mesh(config.train.head_shards)
    settings = build_run(config)
    people = capacity.stand_in(settings, classes)
    return make_recipe(settings, people, mesh, total_steps=10, steps_per_epoch=10.0), people, mesh


def test_each_device_has_its_share_of_the_head_and_all_of_the_rest():
    recipe, *_ = recipe_of(faces())
    head, rest, head_state, rest_state = capacity.shares(recipe)
    assert head == head_state == capacity.Share(1024 * 16, 1024 * 16 * 4 // 2)
    everything = sum(leaf.size for leaf in jax.tree.leaves(recipe.abstract_state.params))
    assert rest.numbers == everything - 1024 * 16
    assert rest.bytes == 4 * rest.numbers
    assert rest_state.numbers > rest.numbers  # momentum, and counters

    whole, *_ = capacity.shares(recipe_of(faces("dense", 1))[0])
    assert whole == capacity.Share(1000 * 16, 1000 * 16 * 4)


def test_a_step_needs_its_state_its_images_and_more():
    config = faces()
    recipe, people, mesh = recipe_of(config, classes=4096)
    kept = sum(share.bytes for share in capacity.shares(recipe))
    images = 16 // 4 * 32 * 32 * 3
    gradient = 4096 * 16 * 4 // 2
    needed = capacity.step_bytes(
        build_run(config).input, recipe, people.splits["train"], mesh, batch=16
    )
    assert needed > kept + images + gradient
    assert needed < kept + images + gradient + 16 * 4096 * 4 * 16


@pytest.mark.parametrize(
    ("fixed", "each", "limit", "largest"),
    [
        (1000, 10, 5000, 400),
        (1000, 10, 1300, 24),  # below the first
        (1000, 10, 1050, 0),  # not even one unit of eight
        (1000, 10, 4079, 304),
        (0, 1, 64, 64),
    ],
)
def test_the_largest_batch_fits_and_one_more_unit_does_not(fixed, each, limit, largest):
    looked = []

    def bytes_of(batch):
        looked.append(batch)
        return fixed + each * batch

    found = capacity.largest_batch(bytes_of, first=64, unit=8, limit=limit)
    assert largest * 0.98 <= found <= largest
    assert len(set(looked)) <= 4


def test_a_bent_line_is_followed():
    def bytes_of(batch):
        return 1000 + batch * (10 if batch < 200 else 14)

    found = capacity.largest_batch(bytes_of, first=64, unit=8, limit=9400)
    assert 588 <= found <= 600


def test_people_are_for_methods_that_tell_them_apart():
    with pytest.raises(ConfigError, match="--classes is for methods with a class a person"):
        capacity.stand_in(build_run(load(str(TINY / "tiny.py"))), 100)


def test_a_step_is_timed_on_the_devices_at_hand():
    settings = build_run(faces("dense", 1))
    seconds = capacity.time_step(settings, capacity.stand_in(settings, 10), repeats=2)
    assert 0 < seconds < 60
