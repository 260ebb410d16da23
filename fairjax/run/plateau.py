"""A guard against trainings that do not learn."""

from collections.abc import Mapping

from absl import logging

SHARE = 0.25  # of the steps, after which a loss should have left its plateau
NEAR = 0.9  # of the loss of a model that knows nothing: at or above it, nothing is learned
CAUSES = (
    "Usual causes: config.optim.peak_lr is too high or too low for the batch (face recipes scale "
    "it: 0.1 at 512 images); there is no warm-up (config.optim.schedule.warmup_epochs); a margin "
    "or penalty is in full from the first step (config.method.margin_ramp_epochs, ramp_epochs); "
    "labels do not belong to their images; layers are frozen that should learn."
)


class PlateauGuard:
    """Warns once where a loss is still about what a model has that knows nothing.

    Args:
      chance: Such a model's losses by name; see `Method.chance`. None watches nothing.
      total_steps: Where training ends.
    """

    def __init__(self, chance: Mapping[str, float], *, total_steps: int):
        self._chance = chance
        self._total = total_steps
        self._done = False

    def look(self, step: int, means: Mapping[str, float]) -> None:
        """Looks at a logged line.

        Args:
          step: Steps taken so far.
          means: Mean scalars since the last logged line.
        """
        if self._done or step < SHARE * self._total:
            return
        self._done = True
        for name, chance in self._chance.items():
            # Where a method adds terms, the loss of the margin has a name of its own
            loss = means.get(f"{name}_identity", means.get(name, 0.0))
            if loss >= NEAR * chance:
                logging.warning(
                    "%s is %.3g after %d of %d steps; a model that knows nothing has %.3g. %s",
                    name,
                    loss,
                    step,
                    self._total,
                    chance,
                    CAUSES,
                )
