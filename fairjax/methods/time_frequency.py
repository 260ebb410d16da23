"""Self-supervised pre-training by time-frequency consistency (TF-C), on images.

Two views of a face shall be alike for the encoder of its feature map ("time"), a spectrum and its
perturbed version for the encoder of the spectrum ("frequency"), and the two encoders' projections
of one face shall be alike. No label is used.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.losses import Spaces, masked_sum, time_frequency
from fairjax.losses.contrastive import TimeFrequency
from fairjax.methods.checks import check_word
from fairjax.methods.two_views import averaged, columns, two_views, watched
from fairjax.models.tfc import TFC, perturbed

_EVALUATION = 0  # the key of the perturbations that predictions are made with


class TwoViews(nn.Module):
    """The backbone on both views of an image.

    Attributes:
      backbone: A TFC.
      share: Share of a spectrum's components that its perturbed version changes, in [0, 1].
      strength: Largest amount added to a component, as a share of the largest component.
      frequency_view: "perturb": the first view's spectrum, perturbed; "second": the second view's.
      joint_norm: Whether both views go through the trunk and the projectors as one batch, and share
        batch statistics.
    """

    backbone: TFC
    share: float
    strength: float
    frequency_view: str
    joint_norm: bool

    def __call__(
        self, first: jax.Array, second: jax.Array, key: jax.Array, *, train: bool
    ) -> tuple[Spaces, Spaces]:
        """Maps two views [batch, height, width, 3] to the representations of both."""
        backbone = self.backbone

        def both(
            function: Callable[[jax.Array], Any], first: jax.Array, second: jax.Array
        ) -> tuple[Any, Any]:
            if not self.joint_norm:
                return function(first), function(second)
            joint, n = function(jnp.concatenate([first, second])), len(first)
            return jax.tree.map(lambda x: x[:n], joint), jax.tree.map(lambda x: x[n:], joint)

        def encoded(
            encoder: Callable[..., jax.Array], first: jax.Array, second: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            # Side by side and not one after the other, which would move images between devices.
            pairs = jnp.stack([first, second], axis=1)
            high = encoder(pairs.reshape(-1, *first.shape[1:]), train=train)
            high = high.reshape(len(first), 2, -1)
            return high[:, 0], high[:, 1]

        cells = both(lambda x: backbone.cells(x, train=train), first, second)
        time = encoded(backbone.encode_time, *cells)
        time_low = both(lambda x: backbone.time_projector(x, train=train), *time)
        magnitudes = backbone.spectrum(cells[0])
        if self.frequency_view == "perturb":
            changed = perturbed(key, magnitudes, share=self.share, strength=self.strength)
        else:
            changed = backbone.spectrum(cells[1])
        frequency = encoded(backbone.encode_frequency, magnitudes, changed)
        frequency_low = both(lambda x: backbone.frequency_projector(x, train=train), *frequency)
        of_first, of_second = map(Spaces, time, frequency, time_low, frequency_low)
        return of_first, of_second


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    objective: str = "code",
    within: float = 0.2,
    across: float = 1.0,
    margin: float = 1.0,
    temperature: float = 0.2,
    poly: bool = False,
    frequency_view: str = "perturb",
    share: float = 0.1,
    strength: float = 0.1,
    joint_norm: bool = False,
) -> Method:
    """TF-C's pre-training.

    Args:
      backbone: A TFC.
      targets: Not used: pre-training knows no labels.
      preprocess: uint8 images to the backbone's input.
      objective: What stands for consistency: "code": the contrast of an image's time and frequency
        projections, as in the authors' code; "paper": the hinges on it, see
        `fairjax.losses.time_frequency`.
      within: Weight of the losses within time and within frequency; with "paper", 0.5.
      across: Weight of the consistency; with "paper", 0.5.
      margin: Margin of the hinges.
      temperature: Temperature of each NT-Xent, above 0.
      poly: Whether to add the polynomial term of `fairjax.losses.nt_xent`.
      frequency_view: Other spectrum: "perturb", the first view's perturbed, or "second", that of
        the second view.
      share: Share of a spectrum's components that a perturbation changes, in [0, 1].
      strength: Largest amount added to a component, as a share of the largest; 0 or more.
      joint_norm: Whether both views share batch statistics.

    Raises:
      ValueError: If the backbone is no TFC or a setting is not known.
    """
    del targets
    if not isinstance(backbone, TFC):
        raise ValueError("time_frequency needs config.backbone.name='tfc'.")
    check_word("objective", objective, ("code", "paper"))
    check_word("frequency_view", frequency_view, ("perturb", "second"))
    model = TwoViews(backbone, share, strength, frequency_view, joint_norm)

    def parts(first: Spaces, second: Spaces, mask: jax.Array) -> tuple[TimeFrequency, jax.Array]:
        terms = time_frequency(
            first, second, mask, temperature=temperature, margin=margin, poly=poly
        )
        consistency = terms.across if objective == "code" else terms.margins
        return terms, within * (terms.time + terms.frequency) + across * consistency

    def spaces(first: Spaces, second: Spaces) -> dict[str, tuple[jax.Array, jax.Array]]:
        return {
            "time": (first.time, second.time),
            "frequency": (first.frequency, second.frequency),
            "across": (first.time_low, first.frequency_low),
        }

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        images = preprocess(batch["image"])
        variables = dict(model.init(key, images, images, key, train=False))
        return variables.pop("params"), variables

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        spectrum_key, dropout_key = jax.random.split(key)
        (first, second), moved = model.apply(
            {"params": params, **model_state},
            *two_views(batch, preprocess),
            spectrum_key,
            train=True,
            mutable=list(model_state),
            rngs={"dropout": dropout_key},
        )
        mask = batch["mask"]
        terms, values = parts(first, second, mask)
        summed, count = masked_sum(values, mask)
        scalars = {
            "loss": (summed, count),
            **averaged(terms._asdict(), mask),
            **watched(spaces(first, second), mask),
        }
        return summed / jnp.maximum(count, 1.0), Aux(moved, scalars)

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        """Losses among the evaluation batch, and the spaces; spectra are perturbed alike always."""
        views, key = two_views(batch, preprocess), jax.random.key(_EVALUATION)
        representations: Any = model.apply(variables, *views, key, train=False)
        first, second = representations
        terms, values = parts(first, second, batch["mask"])
        losses = {f"loss_{name}": each for name, each in terms._asdict().items()}
        return {"loss": values, **losses, **columns(spaces(first, second))}

    return Method(init, loss, predict, loss_of="batch")
