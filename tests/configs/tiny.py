"""A run of seconds for the tests: SGD, so that losses agree between device counts."""

from ml_collections import ConfigDict

from fairjax.config import algorithm, base_config, dataset, schedule


def get_config(arg: str = "") -> ConfigDict:
    """Sixteen steps on 32-pixel faces; no arguments."""
    assert not arg
    config = base_config()
    config.data = dataset("phantom", image_size=32, identities=92, images_per_identity=2)
    config.input.image_size = 32
    config.input.augment.update(flip=0.5, rotation_degrees=10.0)
    config.backbone.update(depth=18, width=8, stages=1)  # compiles in a third of the time
    config.optim.algorithm = algorithm("sgd")
    config.optim.update(peak_lr=0.02, schedule=schedule("cosine", warmup_epochs=0.0))
    config.train.update(epochs=2.0, batch_size=16, log_every=1, evaluate_every=1.0, track=())
    config.eval.batch_size = 16
    config.eval.protocol.resamples = 20
    return config
