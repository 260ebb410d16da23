"""VICReg on UTKFace faces: self-supervised pre-training of a ResNet, without negatives.

No label is used. Fine-tune from it with configs/utkface/resnet50.py and --config.init.run=DIR.

Source: Bardes, Ponce and LeCun 2022 (arXiv 2105.04906): LARS, expander of 8192, weights 25, 25 and
  1, on ImageNet. It prints nothing for faces, so there is no number to expect; batch and epochs
  are reduced to what UTKFace's 16,000 training images call for.
Data: UTKFace, aligned and cropped.
Run: python -m fairjax.main --config configs/utkface/vicreg.py --workdir runs/vicreg \
       --config.data.root=DIR
  Has not been run at full size.
Reduced: :small, 64 pixels, a narrow ResNet-18, an expander of 256.
Smoke test: :smoke, seconds, on generated faces.
"""

from ml_collections import ConfigDict

from fairjax.config import algorithm, base_config, dataset, method, parse_arg, protocol, schedule

VIEW = dict(flip=0.5, crop_scale=(0.3, 1.0), brightness=0.4, contrast=0.4, saturation=0.2, grey=0.2)


def get_config(arg: str = "") -> ConfigDict:
    """Arguments: small, smoke, seed=0."""
    options = parse_arg(arg, small=False, smoke=False, seed=0)
    config = base_config()
    config.title = "Pre-training on UTKFace: VICReg"
    config.seed = options.seed
    config.data = dataset("utkface")
    config.input.update(image_size=224, views=2)
    config.input.augment.update(VIEW)
    config.input.second_augment.update(VIEW)
    config.method = method("vicreg")
    config.compute_dtype = "bfloat16"
    config.optim.update(peak_lr=0.8, weight_decay=1e-6, schedule=schedule("cosine"))
    config.optim.schedule.warmup_epochs = 10.0
    config.optim.algorithm = algorithm("lars")
    config.train.update(epochs=200.0, batch_size=512, best_metric="loss", evaluate_every=10.0)
    config.eval.protocol = protocol("contrastive")
    if options.small or options.smoke:
        config.compute_dtype = "float32"
        config.optim.algorithm = algorithm("adamw")
        config.optim.peak_lr = 1e-3
    if options.small:
        config.input.image_size = 64
        config.backbone.update(depth=18, width=16)
        config.method.projection = 256
        config.optim.schedule.warmup_epochs = 0.5
        config.train.update(epochs=6.0, batch_size=128, evaluate_every=2.0, track=())
    if options.smoke:
        config.data = dataset("phantom", image_size=32, identities=60, images_per_identity=2)
        config.input.image_size = 32
        config.backbone.update(depth=18, width=8, stages=1)
        config.method.projection = 16
        config.optim.schedule.warmup_epochs = 0.1
        config.train.update(epochs=0.5, batch_size=16, evaluate_every=1.0)
        config.eval.protocol.update(group_by="group", resamples=50)
    return config
