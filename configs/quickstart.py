"""Quick start: a small ResNet learns age, gender and group of generated faces, and is audited.

Data: phantom faces (drawn by fairjax/data/phantom/ from a seed; no file is needed).
Run: python -m fairjax.main --config configs/quickstart.py --workdir runs/quickstart
"""

from ml_collections import ConfigDict

from fairjax.config import base_config, dataset, parse_arg, schedule


def get_config(arg: str = "") -> ConfigDict:
    """Arguments: smoke (three steps), seed=0."""
    options = parse_arg(arg, smoke=False, seed=0)
    config = base_config()
    config.title = "Quick start on phantom faces"
    config.seed = options.seed
    config.data = dataset("phantom", image_size=48, identities=1200, images_per_identity=4)
    config.input.image_size = 48
    config.input.normalise = "half"
    config.backbone.depth = 18
    config.optim.peak_lr = 1e-3
    config.optim.schedule = schedule("cosine", warmup_epochs=1.0)
    config.train.epochs = 6.0
    config.train.batch_size = 64
    if options.smoke:
        config.backbone.update(width=16, stages=1)
        config.data.update(identities=60, images_per_identity=2)
        config.train.update(epochs=0.5, batch_size=16)
        config.optim.schedule.warmup_epochs = 0.1
        config.eval.protocol.resamples = 50
    return config
