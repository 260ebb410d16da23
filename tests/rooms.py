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
        ("study", "run", "config", "data", "core"),
    ),
    Room(
        "cli",
        "the `fairjax` command, one module a verb",
        (
            "study",
            "audit",
            "postprocess",
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
        "many runs, one table, and whether a paper's claims hold",
        ("run", "config", "protocols", "report", "metrics", "data", "core"),
    ),
    Room(
        "audit",
        "scores, embeddings, predictions of any system; the self-test",
        ("postprocess", "protocols", "report", "metrics", "core"),
    ),
    Room(
        "postprocess",
        "score normalisation and calibration after training, in numpy",
        ("metrics", "core"),
    ),
    Room(
        "run",
        "one run: training loop, evaluation, checkpoints, mesh",
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
    Room("optim", "optimisers, schedules, frozen parts", ("core",)),
    Room(
        "methods",
        "what is optimised, one module a method",
        ("heads", "models", "losses", "core"),
    ),
    Room(
        "heads",
        "class weights: whole, in shards, in chunks, sampled",
        ("models", "losses", "core"),
    ),
    Room("models", "Linen modules; `layers/` exists for a backend's sake", ("core",)),
    Room("losses", "margins, FPR penalty, contrastive, reconstruction", ("core",)),
    Room("interop", "weights of timm, DeiT and MAE in and out", ("core",)),
    Room(
        "protocols",
        "what a paper fixes: pairs in `verification/`, images in `by_image/`",
        ("metrics", "core"),
    ),
    Room("metrics", "numpy metrics, groups, intervals, tests", ("core",)),
    Room("report", "HTML report, text tables, CSV files, model card", ("core",)),
    Room(
        "data",
        "one file a dataset; `formats/`, generated faces, batches, TFDS",
        ("core",),
    ),
    Room("core", "words that rooms share: batches, results, pairs, errors", ()),
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
