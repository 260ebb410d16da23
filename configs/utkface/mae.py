"""Masked autoencoder on UTKFace faces, with random masks or masks that follow a sensitivity map.

Source: the UTKFace study with ResNet-50, TFC and masked autoencoders, sections 3.3 to 3.5. It masks
  75 % of the patches of 224-pixel images, all images of a batch alike; model size, optimiser and
  epochs are not stated: they are MAE's recipe (He et al. 2022) on a ViT-Tiny here.
Data: UTKFace, aligned and cropped; the training split alone is looked at. No label is used.
Run: python -m fairjax.main --config configs/utkface/mae.py --workdir runs/mae \
  --config.data.root=DIR
With a map, from a run of configs/utkface/vit.py:
  --config configs/utkface/mae.py:scheme=mask_sensitive,map=runs/vit/sensitivity.npz
With masks that are learned (AutoMAE), from a run of this config, whose attention they start from:
  --config configs/utkface/mae.py:scheme=learned,scorer=runs/mae
Reduced: :small, 64 pixels, patches of 8. The whole study: configs/studies/utkface_masking.py.
Smoke test: :smoke, seconds, on generated faces.
"""

from ml_collections import ConfigDict

from fairjax.config import (
    ConfigError,
    algorithm,
    base_config,
    dataset,
    method,
    parse_arg,
    protocol,
    schedule,
    vit,
)


def get_config(arg: str = "") -> ConfigDict:
    """Arguments: small, smoke, seed=0, scheme=random, map=FILE, scorer=RUN."""
    options = parse_arg(arg, small=False, smoke=False, seed=0, scheme="random", map="", scorer="")
    learned = options.scheme == "learned"
    if learned != bool(options.scorer) and not options.smoke:
        raise ConfigError(
            "scorer=RUN names the run whose attention scheme=learned starts from, such as "
            "scheme=learned,scorer=runs/mae; no other scheme takes it."
        )
    config = base_config()
    config.title = f"Masked autoencoder on UTKFace: {options.scheme.replace('_', ' ')}"
    config.seed = options.seed
    config.data = dataset("utkface")
    config.input.image_size = 224
    config.input.augment.update(flip=0.5, rotation_degrees=10.0)
    config.backbone = vit("tiny", positions="sincos")
    if learned:
        config.method = method("automae")
        config.init.update(run=options.scorer, part="scorer=backbone")
    else:
        config.method = method("masked_autoencoder", scheme=options.scheme, sensitivity=options.map)
    config.compute_dtype = "bfloat16"
    config.optim.algorithm = algorithm("adamw", b2=0.95)
    config.optim.update(peak_lr=1.5e-4 * 512 / 256, schedule=schedule("cosine", warmup_epochs=40.0))
    config.train.update(epochs=400.0, batch_size=512, best_metric="loss", evaluate_every=10.0)
    config.eval.protocol = protocol("reconstruction")
    if options.small:
        config.compute_dtype = "float32"
        config.input.image_size = 64
        config.backbone = vit("tiny", dim=64, depth=3, heads=2, patch=8, positions="sincos")
        config.method.update(decoder_dim=48, decoder_depth=1, decoder_heads=2)
        config.optim.update(peak_lr=1e-3, schedule=schedule("cosine", warmup_epochs=0.5))
        config.train.update(epochs=6.0, batch_size=64, evaluate_every=3.0, track=())
    if options.smoke:
        config.data = dataset("phantom", image_size=32, identities=60, images_per_identity=2)
        config.compute_dtype = "float32"
        config.input.image_size = 32
        config.backbone = vit("tiny", dim=16, depth=1, heads=2, patch=8, positions="sincos")
        config.method.update(decoder_dim=8, decoder_depth=1, decoder_heads=2)
        config.optim.schedule.warmup_epochs = 0.1
        config.train.update(epochs=0.5, batch_size=16, evaluate_every=1.0)
        config.eval.protocol.update(group_by="group", resamples=50)
    return config
