"""Face recognition in seconds for the tests: phantom people to train on and to tell apart."""

from ml_collections import ConfigDict

from fairjax.config import (
    algorithm,
    backbone,
    base_config,
    benchmark,
    dataset,
    margin,
    method,
    protocol,
    schedule,
)


def get_config(arg: str = "") -> ConfigDict:
    """Twelve steps on 32-pixel faces; no arguments."""
    assert not arg
    config = base_config()
    pairs = benchmark(
        "phantom", image_size=32, identities=32, images_per_identity=3, folds=2, pairs_per_fold=6
    )
    config.data = dataset(
        "phantom_identities",
        image_size=32,
        identities=104,
        images_per_identity=2,
        held_out=80,
        benchmark=pairs,
    )
    config.input.update(image_size=32, normalise="half")
    config.backbone = backbone("iresnet", depth=10, width=4, dim=16)
    config.method = method("cosine_margin", margin=margin("cosface", margin=0.1, scale=16.0))
    config.optim.algorithm = algorithm("sgd")
    config.optim.update(peak_lr=0.05, schedule=schedule("cosine", warmup_epochs=0.0))
    config.train.update(
        epochs=4.0,
        batch_size=16,
        log_every=1,
        evaluate_every=2.0,
        track=(),
        best_metric="verification_accuracy",
    )
    config.eval.batch_size = 16
    config.eval.protocol = protocol("lfw", fmrs=(1e-1,), resamples=20)
    return config
