"""Face recognition by margin softmax, with or without the FPR penalty, on BUPT and RFW.

Source: Xu et al., "Consistent Instance False Positive Improves Fairness in Face Recognition" (CVPR
  2021, arXiv 2106.05519), Tables 3 and 4: IResNet 34, 50 and 100 trained on BUPT-Balancedface or
  Globalface, RFW accuracy by race. R34 on Balancedface, average and standard deviation (ddof 1):
  CosFace 93.74 and 1.03, ArcFace 94.64 and 1.10, the penalty 96.07 and 0.69. The penalty's strength
  is not printed; 1 stands here.
Data: BUPT as folders or records, RFW as folders or .bin; three people in both are left out.
Run: python -m fairjax.main --config configs/recognition/margin.py:method=fpr_penalty,depth=34 \
  --workdir runs/fpr --config.data.root=BUPT --config.data.benchmark.root=RFW
  Methods: cosface, arcface, fpr_penalty, fpr_tface, ic_ffr, mixfairface, uss, labelless_face,
  invreg, pfe, gabn, gac, debface, descon, rl_rbn (whose policy `fairjax margins` learns); depths
  34, 50, 100; train=balanced or global. method=pfe keeps the backbone of a finished run, by
  init=RUN.
  auto_gamma_u allows an image 2.8 false positives, as in the paper, however many people there are.
  Has not been run at full size.
Reduced: :small, 64 pixels, a narrow R18, on any tree of people with LFW-style pairs a group:
  FAIRJAX_DATA holds faces_id.tar, faces_id.csv and faces_id_pairs/. People in the pairs are not
  trained on; most of the others have one image.
Smoke test: :smoke, seconds, on generated people.
"""

from ml_collections import ConfigDict

from fairjax.config import (
    ConfigError,
    algorithm,
    backbone,
    base_config,
    benchmark,
    dataset,
    margin,
    method,
    parse_arg,
    protocol,
    schedule,
)

METHODS = {
    "cosface": method("cosine_margin", margin=margin("cosface")),
    "arcface": method("cosine_margin", margin=margin("arcface")),
    "fpr_penalty": method("fpr_penalty"),
    "fpr_tface": method("fpr_penalty", variant="tface", gamma_u=0.0),
    "ic_ffr": method("ic_ffr"),
    "mixfairface": method("mixfairface"),
    "uss": method("uss"),
    "labelless_face": method("labelless_face"),
    "gabn": method("gabn"),
    "gac": method("gac"),
    "debface": method("debface"),
    "descon": method("descon"),
    "rl_rbn": method("rl_rbn"),
    "invreg": method("invreg"),
    "pfe": method("pfe"),
}
# Images of a person in a batch, of methods that compare them. DeSCon's text does not say how many.
TOGETHER = {"ic_ffr": 8, "uss": 2, "descon": 4}
SCHEDULES = {"balanced": (40.0, (20.0, 32.0, 36.0)), "global": (24.0, (10.0, 18.0, 22.0))}


def get_config(arg: str = "") -> ConfigDict:
    """Arguments: small, smoke, seed, method, depth, train, auto_gamma_u and init, as above."""
    options = parse_arg(
        arg,
        small=False,
        smoke=False,
        seed=0,
        method="cosface",
        depth=34,
        train="balanced",
        auto_gamma_u=False,
        init="",
    )
    if (options.method == "pfe") != bool(options.init) and not options.smoke:
        raise ConfigError(
            "init=RUN names the run whose backbone method=pfe keeps, such as "
            "method=pfe,init=runs/cosface; no other method takes it."
        )
    for key, known in (("method", METHODS), ("train", SCHEDULES)):
        if (value := getattr(options, key)) not in known:
            raise ConfigError(f"{key}={value!r} is not known; known: {', '.join(known)}.")
    epochs, drops = SCHEDULES[options.train]
    config = base_config()
    config.title = f"{options.method} on BUPT ({options.train}), tested on RFW"
    config.seed = options.seed
    config.data = dataset("bupt", overlap="drop", benchmark=benchmark("rfw"))
    config.input.update(image_size=112, normalise="half")
    config.input.augment.flip = 0.5
    config.backbone = backbone("iresnet", depth=options.depth)
    if options.method in ("gac", "debface"):
        config.backbone = backbone("gac", depth=options.depth)
    if options.method == "debface":  # a block for the group, and one for the identity
        config.backbone.dim = 1024
    if options.method == "mixfairface":
        config.backbone.flat_norm = True
    config.input.images_per_identity = TOGETHER.get(options.method, 0)
    config.compute_dtype = "bfloat16"
    config.method = METHODS[options.method]
    # BUPT calls its groups races; the two other data sets here call them groups.
    attribute = "group" if options.small or options.smoke else "race"
    if options.method == "debface":
        config.method.attributes = (attribute,)
    elif "group" in config.method:
        config.method.group = attribute
    if options.method == "rl_rbn" and attribute == "race":
        config.method.reference = "Caucasian"
    config.optim.algorithm = algorithm("sgd")
    config.optim.update(peak_lr=0.1, weight_decay=5e-4, decay_norms=True)
    config.optim.schedule = schedule("steps", at_epochs=drops)
    config.train.update(epochs=epochs, batch_size=512, best_metric="verification_accuracy")
    config.eval.protocol = protocol("rfw")
    config.init.run = options.init
    if options.method == "pfe":  # the authors' 12,000 steps on batches of 64 people, 4 images each
        config.input.images_per_identity = 4
        config.optim.update(peak_lr=1e-3, decay_norms=False)
        config.optim.schedule = schedule("steps", at_epochs=(1.6,))
        config.train.update(epochs=2.4, batch_size=256)
        config.eval.protocol = protocol("rfw", accuracy="exact", bias_pool="protocol")
    if options.small:
        config.title = f"{options.method} on a small tree of people"
        pairs = benchmark("lfw", root="faces_id.tar", pairs="faces_id_pairs")
        config.data = dataset(
            "identities",
            root="faces_id.tar",
            groups="faces_id.csv",
            min_images=1,
            max_images=20,
            held_out=60,
            overlap="drop",
            benchmark=pairs,
        )
        config.compute_dtype = "float32"
        config.input.image_size = 64
        config.backbone.update(depth=18, width=16, dim=128)
        config.optim.update(peak_lr=0.05, schedule=schedule("steps", at_epochs=(14.0, 20.0)))
        config.train.update(epochs=24.0, batch_size=64, evaluate_every=8.0, track=())
        config.eval.protocol = protocol("lfw", fmrs=(1e-1, 1e-2), bias_fmrs=(1e-2, 1e-3))
        if options.method == "ic_ffr":
            config.method.update(gamma_u=5e-3, tpr_at_fpr=1e-3)
    if options.smoke:
        config.title = f"{options.method} on generated people"
        pairs = benchmark(
            "phantom",
            image_size=32,
            identities=32,
            images_per_identity=3,
            folds=2,
            pairs_per_fold=6,
        )
        config.data = dataset(
            "phantom_identities",
            image_size=32,
            identities=104,
            images_per_identity=2,
            held_out=80,
            benchmark=pairs,
        )
        config.compute_dtype = "float32"
        config.input.image_size = 32
        config.backbone.update(depth=10, width=4, dim=16)
        config.train.update(epochs=1.0, batch_size=16)
        config.optim.schedule = schedule("steps", at_epochs=(0.5,))
        config.eval.batch_size = 16
        config.eval.protocol = protocol("lfw", fmrs=(1e-1,), resamples=20)
        if options.method in TOGETHER:
            config.input.images_per_identity = 2  # all that there are
        if options.method == "ic_ffr":
            config.method.update(gamma_u=0.05, tpr_at_fpr=0.01)
        if options.method == "gabn":
            config.method.update(erase_after_epochs=0.5, adversary_ramp_epochs=0.5)
            config.method.update(erase_regions=1)  # of the last map's four positions
        if options.method == "gac":
            config.method.first_check = 1
    if options.method == "pfe" and (options.small or options.smoke):
        config.eval.protocol.update(accuracy="exact", bias_fmrs=())
        config.train.epochs = 1.0 if options.smoke else 4.0
        config.optim.schedule = schedule("steps", at_epochs=(config.train.epochs / 1.5,))
        config.optim.peak_lr = 1e-3
        config.input.images_per_identity = 2
    penalised = "fpr" in options.method or options.method == "invreg"
    if options.method == "invreg" and options.smoke:
        config.method.update(partition_epochs=(1,), learning_epochs=2)
        config.train.epochs = 1.5
    if penalised and (options.small or options.smoke):
        # A rate that leaves hundreds of cosines of so small a batch above the threshold, where
        # 1e-4 would leave a handful.
        config.method.gamma_u = 0.05 if options.smoke else 5e-3
    if options.auto_gamma_u:
        if "fpr" not in options.method:
            raise ConfigError("auto_gamma_u is for method=fpr_penalty or fpr_tface.")
        config.method = ConfigDict({**config.method.to_dict(), "gamma_u": "auto"})
    return config
