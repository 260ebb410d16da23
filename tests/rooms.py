"""The rooms of `fairjax/`, from top to bottom: the table behind README's map and `test_rooms.py`.

`python tests/rooms.py` prints the map. A room imports only rooms below it, and only those that its
line names.
"""

from typing import NamedTuple


class Room(NamedTuple):
    """One line of the map.

    Attributes:
      name: Module or package in `fairjax/`.
      contents: What a reader finds there.
      imports: Rooms below it that it may import.
    """

    name: str
    contents: str
    imports: tuple[str, ...]


ROOMS = (
    Room(
        "main",
        "`python -m fairjax.main`: train, evaluate, report",
        ("study", "run", "config", "core"),
    ),
    Room(
        "cli",
        "the `fairjax` command, one module per verb",
        (
            "study",
            "audit",
            "postprocess",
            "serve",
            "run",
            "config",
            "data",
            "protocols",
            "report",
            "core",
        ),
    ),
    Room(
        "study",
        "many runs that fill one table, and tests of a paper's claims",
        ("run", "config", "protocols", "report", "metrics", "data", "core"),
    ),
    Room(
        "serve",
        "models in use: embed, predict, evaluate, align, export",
        ("audit", "run", "config", "models", "report", "data", "core"),
    ),
    Room(
        "audit",
        "audits of scores, embeddings and predictions of any system; the self-test",
        ("postprocess", "protocols", "report", "metrics", "core"),
    ),
    Room(
        "postprocess",
        "score normalisation and calibration after training, in numpy",
        ("metrics", "core"),
    ),
    Room(
        "run",
        "one run: training loop, evaluation, checkpoints, device mesh",
        (
            "config",
            "optim",
            "heads",
            "models",
            "interop",
            "protocols",
            "report",
            "metrics",
            "data",
            "core",
        ),
    ),
    Room(
        "config",
        "every config key with its default; checks",
        ("optim", "methods", "models", "losses", "protocols", "data", "core"),
    ),
    Room("optim", "optimisers, schedules, freezing of parameters", ("core",)),
    Room(
        "methods",
        "what is trained, one module per method",
        ("heads", "models", "losses", "core"),
    ),
    Room(
        "heads",
        "class weights of margin losses: complete on each device, sharded, in chunks or sampled",
        ("models", "losses", "core"),
    ),
    Room(
        "models",
        "networks (Flax Linen); `layers/` has layers that run faster on some devices",
        ("core",),
    ),
    Room("losses", "margin losses, FPR penalty, contrastive and reconstruction losses", ("core",)),
    Room("interop", "reads and writes public weights: IResNet, ResNet, ViT, MAE", ("core",)),
    Room(
        "protocols",
        "what a benchmark paper fixes: pairs in `verification/`, single images in `by_image/`",
        ("metrics", "core"),
    ),
    Room("metrics", "metrics in numpy, comparison of groups, intervals, tests", ("core",)),
    Room("report", "HTML report, text tables, CSV files, model card", ("core",)),
    Room(
        "data",
        "one file per dataset; file formats, generated faces, batches, TFDS",
        ("core",),
    ),
    Room("core", "types that rooms share: batches, results, pairs, errors", ()),
)


def readme_map() -> str:
    """README's map, as Markdown."""
    lines = ["| room | contents |", "|---|---|"]
    for room in ROOMS:
        path = "main.py" if room.name == "main" else f"{room.name}/"
        lines.append(f"| `fairjax/{path}` | {room.contents} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(readme_map())
