"""Groups in training: which a method may use, and what it logs of each."""

from collections.abc import Mapping, Sequence

import jax

from fairjax.core.types import Target
from fairjax.losses import masked_sum


def require_groups(targets: Mapping[str, Target], attribute: str) -> tuple[str, ...]:
    """Names of the groups that a method needs in training.

    Args:
      targets: What the dataset offers.
      attribute: Attribute whose values are the groups.

    Raises:
      ValueError: If the dataset has no such classes, or fewer than two, or no training image of
        one of them.
    """
    known = [name for name, target in targets.items() if target.values]
    if attribute not in known:
        raise ValueError(
            f"config.method.group={attribute!r}: this method needs the group of each training "
            f"image, and this dataset has no such classes; it has: {', '.join(known) or 'none'}."
        )
    groups = targets[attribute].values
    if len(groups) < 2:
        raise ValueError(f"config.method.group={attribute!r} has one value; two are needed.")
    counts = targets[attribute].counts
    if counts and not any(counts):
        raise ValueError(
            f"config.method.group={attribute!r}: this method needs the group of each training "
            "image, and no training image has one; give the dataset a table of groups."
        )
    if counts and (absent := [name for name, n in zip(groups, counts, strict=True) if not n]):
        raise ValueError(
            f"config.method.group={attribute!r}: the training split has no image of "
            f"{', '.join(absent)}; this method needs images of every group. Add some, or take "
            "another attribute."
        )
    return groups


def group_scalars(
    name: str, values: jax.Array, group: jax.Array, mask: jax.Array, groups: Sequence[str]
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Sum and count of a value by group, for the log; absent groups have a count of 0.

    Args:
      name: Beginning of the logged name: `name_GROUP`.
      values: One value a row [batch].
      group: Group of each row; negative is unknown.
      mask: False on padding.
      groups: Names of the groups.
    """
    return {
        f"{name}_{text}": masked_sum(values, mask & (group == number))
        for number, text in enumerate(groups)
    }
