"""What a benchmark paper fixes: which numbers, of which predictions, under which rules.

A protocol is a module with `evaluate(predictions, ...) -> Results` and `tables(results, ...) ->
list[Table]`.
"""

from types import ModuleType

from fairjax.protocols import bfw, contrastive, lfw, reconstruction, rfw, utkface

PROTOCOLS: dict[str, ModuleType] = {
    "bfw": bfw,
    "contrastive": contrastive,
    "lfw": lfw,
    "reconstruction": reconstruction,
    "rfw": rfw,
    "utkface": utkface,
}
