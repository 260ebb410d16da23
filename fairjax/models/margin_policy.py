"""Which margin a group gets next: a table of values that was learned before, and its file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fairjax.core.files import write_whole

ACTIONS = (0, 1, -1)  # steps of the margin: keep, raise, lower; ties go to the first
FORMAT = "fairjax margin policy 1"


@dataclass(frozen=True, kw_only=True)
class MarginStates:
    """What a group's state is made of, and which margins there are.

    Attributes:
      groups: Names of the groups.
      reference: Group whose margin stays and with which the others are compared.
      margin: Kind of the margin: "cosface" or "arcface".
      lowest: Smallest margin.
      highest: Largest margin.
      step: Distance of two neighbouring margins.
      edges: Borders between the buckets of a bias, rising.
    """

    groups: tuple[str, ...]
    reference: str
    margin: str
    lowest: float
    highest: float
    step: float
    edges: tuple[float, ...]

    @property
    def anchor(self) -> int:
        """The reference's number."""
        return self.groups.index(self.reference)

    @property
    def margins(self) -> int:
        """How many margins there are."""
        return round((self.highest - self.lowest) / self.step) + 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the table: groups, margins, buckets of either bias, actions."""
        buckets = len(self.edges) + 1
        return (len(self.groups), self.margins, buckets, buckets, len(ACTIONS))

    def place(self, margin: Any) -> Any:
        """The number of the nearest margin, from 0."""
        return jnp.clip(jnp.round((margin - self.lowest) / self.step), 0, self.margins - 1).astype(
            jnp.int32
        )

    def bucket(self, bias: Any) -> Any:
        """The bucket of each bias, from 0."""
        return jnp.searchsorted(jnp.asarray(self.edges, jnp.float32), bias, side="right")

    def moved(
        self, margins: Float[Array, " groups"], action: Int[Array, " groups"]
    ) -> Float[Array, " groups"]:
        """The margins after an action a group; that of the reference stays."""
        change = jnp.asarray(ACTIONS, jnp.float32)[action] * self.step
        others = jnp.arange(len(self.groups)) != self.anchor
        return jnp.where(others, jnp.clip(margins + change, self.lowest, self.highest), margins)


def make_states(
    groups: Sequence[str],
    *,
    reference: str,
    margin: str,
    start: float,
    lowest: float,
    highest: float,
    step: float,
    edges: Sequence[float],
) -> MarginStates:
    """The states of a run's groups.

    Args:
      groups: Names of the groups.
      reference: The reference's name; "" is the first group.
      margin: "cosface" or "arcface".
      start: Margin of every group at the start.
      lowest: Smallest margin, 0 or more.
      highest: Largest margin.
      step: Distance of two neighbouring margins, above 0.
      edges: Borders between the buckets of a bias, rising from above 0.

    Raises:
      ValueError: If a setting is out of range; names it as a key of the config.
    """
    if reference and reference not in groups:
        raise ValueError(
            f"config.method.reference={reference!r} is no group; they are: {', '.join(groups)}."
        )
    if not 0 <= lowest <= start <= highest or lowest == highest:
        raise ValueError(
            f"config.method.margin.margin={start} must lie between "
            f"config.method.lowest={lowest} (0 or more) and config.method.highest={highest}."
        )
    if not 0 < step <= highest - lowest:
        raise ValueError(
            f"config.method.step={step} must be above 0 and at most highest - lowest, "
            f"{highest - lowest:g}."
        )
    if not edges or min(edges) <= 0 or list(edges) != sorted(set(edges)):
        raise ValueError(f"config.method.edges={tuple(edges)} must rise from above 0.")
    return MarginStates(
        groups=tuple(groups),
        reference=reference or groups[0],
        margin=margin,
        lowest=lowest,
        highest=highest,
        step=step,
        edges=tuple(edges),
    )


def greedy(
    table: Float[Array, "groups margins intra inter actions"],
    states: MarginStates,
    margins: Float[Array, " groups"],
    intra: Float[Array, " groups"],
    inter: Float[Array, " groups"],
) -> Int[Array, " groups"]:
    """The action with the largest value for each group.

    Args:
      table: Value of each action in each state.
      states: What the states are.
      margins: Present margin of each group.
      intra: Bias within people of each group, 0 or more.
      inter: Bias between people of each group, 0 or more.
    """
    numbers = jnp.arange(len(states.groups))
    cell = table[numbers, states.place(margins), states.bucket(intra), states.bucket(inter)]
    return jnp.argmax(cell, axis=1)


def write_policy(path: Path, states: MarginStates, table: np.ndarray) -> None:
    """Writes a table and what its states are, as JSON."""
    described = {"format": FORMAT, "states": asdict(states), "table": np.asarray(table).tolist()}
    write_whole(path, json.dumps(described) + "\n")


def read_policy(path: str, states: MarginStates) -> jax.Array:
    """The table of a file, for a run whose states are these.

    Raises:
      ValueError: If the file is missing or no table, or was learned for other states.
    """
    again = "learn one with `fairjax margins`"
    try:
        described = json.loads(Path(path).read_text(encoding="utf-8"))
        if described["format"] != FORMAT:
            raise KeyError(FORMAT)
        table, learned = np.array(described["table"], np.float32), dict(described["states"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"policy={path!r} is no table of margins ({type(error).__name__}: {error}); {again}."
        ) from None
    now = json.loads(json.dumps(asdict(states)))
    other = [key for key in now if learned.get(key) != now[key]]
    if other:
        key = other[0]
        raise ValueError(
            f"policy={path!r} was learned with {key}={learned.get(key)!r}, and this run has "
            f"{now[key]!r}; {again} for this config."
        )
    if table.shape != states.shape or not np.isfinite(table).all():
        raise ValueError(f"policy={path!r} holds no finite table {states.shape}; {again}.")
    return jnp.asarray(table)
