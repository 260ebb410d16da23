"""A Vision Transformer on UTKFace: a race classifier with a sensitivity map, or an age classifier.

The map is where the race classifier looks; masks of configs/utkface/mae.py may follow it. The age
classifier starts from scratch or from such an autoencoder.

Source: the UTKFace study with ResNet-50, TFC and masked autoencoders, sections 3.4 (the race
  classifier: ViT-Tiny, accuracy 59.76 %) and 3.5 (fine-tuning to seven age classes, Table 4). It
  states neither optimiser nor epochs: DeiT's and MAE's recipes, scaled, stand here.
Data: UTKFace, aligned and cropped.
Run: python -m fairjax.main --config configs/utkface/vit.py --workdir runs/vit \
  --config.data.root=DIR
  leaves sensitivity.npz beside the report. The age classifier: vit.py:target=age.
Reduced: :small, 64 pixels, patches of 8. The whole study: configs/studies/utkface_masking.py.
Smoke test: :smoke, seconds, on generated faces.
"""

from ml_collections import ConfigDict

from fairjax.config import base_config, dataset, parse_arg, protocol, schedule, task, vit

AGE_EDGES = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0)  # the study's seven classes, 60 and over one


def get_config(arg: str = "") -> ConfigDict:
    """Arguments: small, smoke, seed=0, target=race (or age)."""
    options = parse_arg(arg, small=False, smoke=False, seed=0, target="race")
    age = options.target == "age"
    attribute = "group" if options.smoke and not age else options.target
    config = base_config()
    config.title = f"ViT-Tiny on UTKFace: {options.target}"
    config.seed = options.seed
    config.data = dataset("utkface")
    config.input.image_size = 224
    config.input.augment.update(flip=0.5, rotation_degrees=10.0)
    config.backbone = vit("tiny", drop_path=0.1)
    config.compute_dtype = "bfloat16"
    config.optim.update(peak_lr=5e-4, schedule=schedule("cosine", warmup_epochs=5.0))
    config.train.update(epochs=100.0, batch_size=512, best_metric=f"{attribute}_accuracy")
    config.eval.protocol = protocol("utkface")
    if age:
        config.backbone.update(pool="mean", positions="sincos")  # as the autoencoder's encoder
        config.method.tasks = ConfigDict({"age_bin": task("bins", "age", edges=AGE_EDGES)})
        config.method.label_smoothing = 0.1
        config.optim.update(peak_lr=1e-3 * 512 / 256, layer_decay=0.75)
        config.train.update(epochs=50.0, best_metric="loss")
    else:
        config.method.tasks = ConfigDict({attribute: task("classes", attribute)})
        config.eval.sensitivity.attribute = attribute
    if options.small:
        config.compute_dtype = "float32"
        config.input.image_size = 64
        config.backbone.update(dim=64, depth=3, heads=2, patch=8, drop_path=0.0)
        config.optim.update(peak_lr=1e-3, schedule=schedule("cosine", warmup_epochs=0.5))
        config.train.update(epochs=4.0 if age else 6.0, batch_size=64, evaluate_every=2.0)
        config.train.track = ()
    if options.smoke:
        config.data = dataset("phantom", image_size=32, identities=60, images_per_identity=2)
        config.compute_dtype = "float32"
        config.input.image_size = 32
        config.backbone.update(dim=16, depth=1, heads=2, patch=8)
        config.train.update(epochs=0.5, batch_size=16)
        config.optim.schedule.warmup_epochs = 0.1
        config.eval.protocol.update(group_by="group", resamples=50)
    return config
