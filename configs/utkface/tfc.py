"""Time-frequency consistency on UTKFace faces: the self-supervised model, or fine-tuned from it.

Without a target this pre-trains TFC on the training split, and no label is used; `method=simclr`
puts SimCLR on the same network. `target=attributes` is that network with the heads for age, gender
and race, to be fine-tuned from such a run by --config.init.run=DIR, or trained from scratch.

Source: the UTKFace study with ResNet-50, TFC and masked autoencoders, sections 3.2 and 4.2, Tables
  1-3, TFC columns: age MAE 6.2 years, gender accuracy 0.88, race accuracy 0.76. It names a CNN, two
  Transformer encoders, a linear layer and a multitask classifier, and no size, loss or epoch: sizes
  and losses are those of TF-C (Zhang et al. 2022, arXiv 2206.08496), laid out for images here.
  TF-C's second view is jittered; here it is a stronger crop with changed colours, without blur.
Data: UTKFace, aligned and cropped.
Run: python -m fairjax.main --config configs/utkface/tfc.py --workdir runs/tfc \
       --config.data.root=DIR
     python -m fairjax.main --config configs/utkface/tfc.py:target=attributes \
       --workdir runs/tfc_tuned --config.data.root=DIR --config.init.run=runs/tfc
Reduced: :small, 64 pixels, a narrow trunk. The whole study: configs/studies/utkface_tfc.py.
Smoke test: :smoke, seconds, on generated faces.
"""

from ml_collections import ConfigDict

from fairjax.config import (
    algorithm,
    backbone,
    base_config,
    dataset,
    method,
    parse_arg,
    protocol,
    schedule,
    task,
)

WEAK = dict(flip=0.5, crop_scale=(0.8, 1.0))
STRONG = dict(
    flip=0.5, crop_scale=(0.5, 1.0), brightness=0.4, contrast=0.4, saturation=0.4, grey=0.2
)


def get_config(arg: str = "") -> ConfigDict:
    """Arguments: small, smoke, seed=0, method=tfc (or simclr), target= (or attributes)."""
    options = parse_arg(arg, small=False, smoke=False, seed=0, method="tfc", target="")
    config = base_config()
    config.seed = options.seed
    config.data = dataset("utkface")
    config.input.image_size = 224
    config.backbone = backbone("tfc")
    config.compute_dtype = "bfloat16"
    config.optim.update(
        peak_lr=3e-4, weight_decay=3e-4, schedule=schedule("cosine", warmup_epochs=5.0)
    )
    config.optim.algorithm = algorithm("adamw", b2=0.99)
    config.train.update(epochs=100.0, batch_size=128, best_metric="loss", evaluate_every=10.0)
    race = "group" if options.smoke else "race"
    if options.target:
        config.title = "TFC on UTKFace: age, gender, race"
        config.input.augment.update(flip=0.5, rotation_degrees=10.0)
        config.method.tasks = ConfigDict(
            dict(
                age=task("regression", "age"),
                gender=task("classes", "gender"),
                **{race: task("classes", race)},
            )
        )
        config.method.update(hidden=64, save_features=True)
        config.train.update(epochs=60.0, evaluate_every=1.0)
        config.eval.protocol = protocol("utkface")
        config.eval.weights = "best"
        config.eval.published = "tfc"
    else:
        config.title = f"Pre-training on UTKFace: {options.method}"
        config.input.views = 2
        config.input.augment.update(WEAK if options.method == "tfc" else STRONG)
        config.input.second_augment.update(STRONG)
        config.method = method("time_frequency" if options.method == "tfc" else "simclr")
        config.eval.protocol = protocol("contrastive")
    if options.small:
        config.compute_dtype = "float32"
        config.input.image_size = 64
        config.backbone.update(width=16, stages=3, dim=64, layers=1, hidden=128, projection=64)
        config.optim.update(peak_lr=1e-3, schedule=schedule("cosine", warmup_epochs=0.5))
        config.train.update(epochs=6.0, evaluate_every=2.0, track=())
        if options.target:
            config.train.update(epochs=4.0, evaluate_every=1.0)
    if options.smoke:
        config.data = dataset("phantom", image_size=32, identities=60, images_per_identity=2)
        config.compute_dtype = "float32"
        config.input.image_size = 32
        config.backbone.update(
            width=8, stages=2, stem="small", dim=16, layers=1, hidden=16, projection=8
        )
        config.optim.schedule.warmup_epochs = 0.1
        config.train.update(epochs=0.5, batch_size=16, evaluate_every=1.0)
        config.eval.protocol.update(group_by="group", resamples=50)
        config.eval.published = ""
    return config
