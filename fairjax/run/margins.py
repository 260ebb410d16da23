"""Learns, on short trainings, which margin each group should get next: the agent of `rl_rbn`.

A network is trained for a while. From there one episode after another begins with random margins;
in each move every group but the reference keeps, raises or lowers its margin, the network is
trained for some steps, and the reward is by how much the group's biases have fallen. A small
Q-network is fitted to all moves so far and chooses most of the next ones. In the end its values in
all states are written to a file.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from jaxtyping import Array, Float

from fairjax.config.errors import ConfigError
from fairjax.config.keys import differences
from fairjax.core.settings import Checked, need
from fairjax.core.types import EXTENSION, PyTree
from fairjax.data.dataset import Dataset
from fairjax.data.stream.pipeline import Batches, train_batches
from fairjax.models.group_scatter import Scatter, biases, without_counts
from fairjax.models.margin_policy import ACTIONS, MarginStates, greedy, make_states, write_policy
from fairjax.run import prepare, sharding
from fairjax.run.checkpoint import Checkpoints
from fairjax.run.recipe import Recipe, make_recipe
from fairjax.run.settings import RunSettings
from fairjax.run.state import TrainState
from fairjax.run.workdir import WorkdirError, read_json, write_json

POLICY = "policy.json"


@dataclass(frozen=True, kw_only=True)
class MarginSearch(Checked):
    """How the agent is trained.

    Attributes:
      warmup_steps: Steps of the training that every episode starts from.
      episodes: Number of episodes.
      moves: Moves in an episode.
      steps: Training steps after a move, over which its reward is measured.
      explore: Share of moves that are random, in [0, 1].
      discount: Discount of later rewards, in [0, 1).
      fit_steps: Steps of Adam in which the Q-network is fitted.
    """

    warmup_steps: int = 500
    episodes: int = 20
    moves: int = 8
    steps: int = 100
    explore: float = 0.5
    discount: float = 0.99
    fit_steps: int = 500

    def __post_init__(self) -> None:
        self.need_above_zero("warmup_steps", "episodes", "moves", "steps", "fit_steps")
        need(0 <= self.explore <= 1, "explore", self.explore, "in [0, 1]")
        need(0 <= self.discount < 1, "discount", self.discount, "in [0, 1)")


class Moves(NamedTuple):
    """Moves of all groups but the reference, one a row.

    Attributes:
      group: Number of the group.
      margin: Margin of the group before.
      intra: Bias of the group within people before.
      inter: Bias of the group between people before.
      action: Number of the action.
      reward: By how much the sum of both biases fell.
      next_margin: Margin of the group after.
      next_intra: Bias of the group within people after.
      next_inter: Bias of the group between people after.
    """

    group: np.ndarray
    margin: np.ndarray
    intra: np.ndarray
    inter: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    next_margin: np.ndarray
    next_intra: np.ndarray
    next_inter: np.ndarray


def learn_margins(
    settings: RunSettings, workdir: Path, dataset: Dataset, search: MarginSearch
) -> Path:
    """Learns a policy; episodes that `workdir` holds already are not repeated.

    Args:
      settings: Settings of a run of `rl_rbn` without a policy.
      workdir: Folder of the search, claimed by the caller.
      dataset: Read and checked.
      search: How the agent is trained.

    Returns:
      The file for `config.method.policy`.

    Raises:
      ConfigError: If the config is of another method, or has a policy.
      WorkdirError: If the folder holds the search of another config.
    """
    states = states_of(settings, dataset)
    tree = {**settings.tree, "search": dataclasses.asdict(search)}
    _settle(workdir, tree)
    trainer = _Trainer(settings, dataset, search, states)
    state = trainer.warm_state(workdir / "warmup")
    episodes: list[Moves] = []
    while (path := _episode(workdir, len(episodes))).exists():
        episodes.append(Moves(**{k: np.array(v) for k, v in read_json(path).items()}))
    batches = trainer.batches(done=len(episodes))
    for number in range(len(episodes), search.episodes):
        table = fit(episodes, states, search) if episodes else np.zeros(states.shape, np.float32)
        moves = trainer.episode(state, batches, table, seed=(settings.seed, number))
        write_json(_episode(workdir, number), {k: v.tolist() for k, v in moves._asdict().items()})
        logging.info(
            "Episode %d of %d: the biases fell by %.4f in all.",
            number + 1,
            search.episodes,
            moves.reward.sum(),
        )
        episodes.append(moves)
    path = workdir / POLICY
    write_policy(path, states, fit(episodes, states, search))
    return path


def states_of(settings: RunSettings, dataset: Dataset) -> MarginStates:
    """The states of a run's groups.

    Raises:
      ConfigError: If the config is of another method, or has a policy.
    """
    method = settings.tree["method"]
    if method["name"] != "rl_rbn" or method["policy"]:
        raise ConfigError(
            "margins are learned for config.method.name='rl_rbn' with config.method.policy=''."
        )
    prepare.make_method(settings, dataset)  # refuses what does not fit the data
    return make_states(
        dataset.attributes[method["group"]].values,
        margin=method["margin"]["name"],
        start=method["margin"]["margin"],
        **{key: method[key] for key in ("reference", "lowest", "highest", "step", "edges")},
    )


class _Trainer:
    """Short trainings of one recipe, from one warm state."""

    def __init__(
        self, settings: RunSettings, dataset: Dataset, search: MarginSearch, states: MarginStates
    ) -> None:
        self.settings, self.search, self.states = settings, search, states
        self.examples = dataset.splits["train"]
        self.mesh = sharding.make_mesh(settings.train.head_shards)
        per_epoch = len(self.examples) / settings.train.batch_size
        self.recipe: Recipe = make_recipe(
            settings,
            dataset,
            self.mesh,
            total_steps=max(1, round(settings.train.epochs * per_epoch)),
            steps_per_epoch=per_epoch,
        )
        self.init_key, self.key = jax.jit(
            lambda: tuple(jax.random.split(jax.random.key(settings.seed))),
            out_shardings=sharding.replicated(self.mesh),
        )()
        classes = len(dataset.attributes[settings.class_label].values)

        def look(kernel: jax.Array, state: PyTree) -> Scatter:
            return biases(kernel[:classes], state, groups=len(states.groups), anchor=states.anchor)

        self.look = jax.jit(look)

    def batches(self, *, done: int) -> Batches:
        """The training stream after the warm-up and so many episodes."""
        search, images = self.search, self.settings.input
        return self._stream(
            search.warmup_steps + done * (search.moves + 1) * search.steps, images=images
        )

    def _stream(self, start: int, *, images: Any) -> Batches:
        return train_batches(
            self.examples,
            batch_size=self.settings.train.batch_size,
            image_size=images.image_size,
            augment=images.augment,
            second=images.second,
            seed=self.settings.seed,
            start_step=start,
            balance=images.balanced,
            images_per_class=max(images.images_per_identity, 1),
            cache_mb=images.cache_mb,
            process_index=0,
            process_count=1,
        )

    def warm_state(self, folder: Path) -> TrainState:
        """The state that every episode starts from, trained or read."""
        with Checkpoints(folder, keep_last=1, keep_best=0, best_metric="loss") as checkpoints:
            if restored := checkpoints.restore(self.recipe.abstract_state):
                return restored[0]
            state = self.recipe.create(self.init_key)
            batches = self._stream(0, images=self.settings.input)
            state = self.trained(state, batches, self.search.warmup_steps)
            checkpoints.save(
                state,
                step=self.search.warmup_steps,
                config=self.settings.tree,
                position={},
                metrics=None,
            )
            checkpoints.wait()
        return state

    def trained(self, state: TrainState, batches: Batches, steps: int) -> TrainState:
        """The state after so many steps; the one that is passed is used up."""
        step = self.recipe.step_with_frozen(())
        with jax.set_mesh(self.mesh):
            for _ in range(steps):
                batch = sharding.global_batch(self.mesh, next(batches))
                state, scalars = step(state, batch, self.key)
        if not np.isfinite(jax.device_get(scalars["loss"])):
            raise FloatingPointError("loss not finite; lower config.optim.peak_lr.")
        return state

    def measured(
        self, state: TrainState, batches: Batches, margins: np.ndarray
    ) -> tuple[TrainState, np.ndarray, np.ndarray]:
        """The state and both biases of each group after `search.steps` steps with these margins."""
        own = without_counts(state.model_state[EXTENSION])
        whole = sharding.replicated(self.mesh)
        own = {**own, "margins": jax.device_put(jnp.asarray(margins, jnp.float32), whole)}
        moved = {**state.model_state, EXTENSION: own}
        state = dataclasses.replace(state, model_state=moved)
        state = self.trained(state, batches, self.search.steps)
        with jax.set_mesh(self.mesh):
            bias = self.look(state.params["head"]["kernel"], state.model_state[EXTENSION])
        intra, inter, known = jax.device_get(bias)
        if not known.all():
            lacking = [g for g, there in zip(self.states.groups, known, strict=True) if not there]
            raise ConfigError(
                f"{', '.join(lacking)}: fewer than two people in {self.search.steps} steps; raise "
                "--steps, or leave the group out of the data."
            )
        return state, intra, inter

    def episode(
        self, warm: TrainState, batches: Batches, table: np.ndarray, *, seed: Sequence[int]
    ) -> Moves:
        """One episode from the warm state: random margins, then moves."""
        rng, states, search = np.random.default_rng(seed), self.states, self.search
        groups = len(states.groups)
        others = np.flatnonzero(np.arange(groups) != states.anchor)
        start = np.asarray(jax.device_get(warm.model_state[EXTENSION]["margins"]))
        margins = states.lowest + states.step * rng.integers(0, states.margins, groups)
        margins = np.where(np.arange(groups) == states.anchor, start, margins).astype(np.float32)
        state = jax.tree.map(jnp.copy, warm)
        state, intra, inter = self.measured(state, batches, margins)
        rows: list[tuple] = []
        for _ in range(search.moves):
            states_seen = map(jnp.asarray, (margins, intra, inter))
            chosen = np.asarray(greedy(jnp.asarray(table), states, *states_seen))
            drawn = rng.integers(0, len(ACTIONS), groups)
            action = np.where(rng.random(groups) < search.explore, drawn, chosen)
            moved = np.asarray(states.moved(jnp.asarray(margins), jnp.asarray(action)))
            state, next_intra, next_inter = self.measured(state, batches, moved)
            reward = intra + inter - next_intra - next_inter
            columns = (margins, intra, inter, action, reward, moved, next_intra, next_inter)
            rows += [(g, *(column[g] for column in columns)) for g in others]
            margins, intra, inter = moved, next_intra, next_inter
        return Moves(*map(np.array, zip(*rows, strict=True)))


class QNetwork(nn.Module):
    """Values of the actions in a state: two linear layers with 10 hidden units."""

    @nn.compact
    def __call__(self, x: Float[Array, "states inputs"]) -> Float[Array, "states actions"]:
        """Maps `[states, inputs]` to `[states, actions]`."""
        return nn.Dense(len(ACTIONS))(nn.relu(nn.Dense(10)(x)))


def inputs(
    states: MarginStates, group: Any, place: Any, intra: Any, inter: Any
) -> Float[Array, "states inputs"]:
    """A state as the Q-network sees it: the group as one-hot, the rest scaled to [0, 1].

    Args:
      states: What the states are.
      group: Number of the group of each state.
      place: Number of the group's margin.
      intra: Bucket of the group's bias within people.
      inter: Bucket of the group's bias between people.
    """
    buckets = len(states.edges)
    scaled = (place / max(states.margins - 1, 1), intra / buckets, inter / buckets)
    return jnp.concatenate(
        [jax.nn.one_hot(group, len(states.groups)), jnp.stack(scaled, axis=1)], axis=1
    )


def fit(episodes: Sequence[Moves], states: MarginStates, search: MarginSearch) -> np.ndarray:
    """Values of the actions in all states, from a Q-network fitted to the moves.

    The network is fitted to reward + discount * largest value of the next state, which a copy of
    the network that is renewed every 50 steps gives. Rewards are in their standard deviations.
    """
    moves = Moves(*(np.concatenate(columns) for columns in zip(*episodes, strict=True)))
    # Episodes that were read have float64, those of this process float32: one type, one deviation.
    moves = Moves(*(x.astype(np.float64) if x.dtype.kind == "f" else x for x in moves))
    scale = moves.reward.std()
    reward = jnp.asarray(moves.reward / (scale if scale > 0 else 1.0), jnp.float32)

    def states_seen(margin: Any, intra: Any, inter: Any) -> jax.Array:
        cells = states.place(margin), states.bucket(intra), states.bucket(inter)
        return inputs(states, jnp.asarray(moves.group), *cells)

    before = states_seen(moves.margin, moves.intra, moves.inter)
    after = states_seen(moves.next_margin, moves.next_intra, moves.next_inter)
    network, tx, rows = QNetwork(), optax.adam(0.01), jnp.arange(len(reward))
    params = network.init(jax.random.key(0), before)

    def values(params: PyTree, states_seen: jax.Array) -> Any:
        return network.apply(params, states_seen)

    @jax.jit
    def fitted(params: PyTree) -> PyTree:
        def step(carry: Any, number: jax.Array) -> tuple[Any, None]:
            params, target, opt_state = carry
            target = jax.tree.map(
                lambda new, old: jnp.where(number % 50 == 0, new, old), params, target
            )
            best = values(target, after).max(axis=1)

            def error(params: PyTree) -> jax.Array:
                value = values(params, before)[rows, jnp.asarray(moves.action)]
                return jnp.mean((value - reward - search.discount * best) ** 2)

            updates, opt_state = tx.update(jax.grad(error)(params), opt_state, params)
            return (optax.apply_updates(params, updates), target, opt_state), None

        start = params, params, tx.init(params)
        return jax.lax.scan(step, start, jnp.arange(search.fit_steps))[0][0]

    cells = np.stack(np.meshgrid(*map(np.arange, states.shape[:-1]), indexing="ij"))
    everything = inputs(states, *map(jnp.asarray, cells.reshape(4, -1)))
    return np.asarray(values(fitted(params), everything)).reshape(states.shape)


def _episode(workdir: Path, number: int) -> Path:
    return workdir / f"episode_{number:03}.json"


def _settle(workdir: Path, tree: dict[str, Any]) -> None:
    """Writes what the search is made of, or checks that the folder's is the same.

    Raises:
      WorkdirError: Names what differs.
    """
    path = workdir / "search.json"
    if path.exists() and (changed := differences(read_json(path), tree)):
        raise WorkdirError(
            f"--workdir {workdir} holds a search with another config ({'; '.join(changed[:5])}); "
            "choose another folder, or give the old values to resume."
        )
    write_json(path, tree)
