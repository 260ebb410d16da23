"""Names that are not there but are in another spelling."""

from collections import Counter
from collections.abc import Iterable, Sequence

from fairjax.core.names import folded


def spelled_nearly(lost: Sequence[str], known: Iterable[str]) -> str:
    """A hint where a name that is not there is there in another spelling; "" where it is not."""
    spelled = {folded(name): name for name in known}
    paths = {_stem(name): name for name in spelled.values()}
    times = Counter(stem.rpartition("/")[2] for stem in paths)
    ends = {
        end: name for stem, name in paths.items() if times[end := stem.rpartition("/")[2]] == 1
    }  # of several files 0.jpg in folders none is meant
    for name in lost:
        bare = name.rpartition("/")[2]
        other = spelled.get(folded(name)) or paths.get(name) or paths.get(_stem(name))
        other = other or ends.get(bare) or ends.get(_stem(bare))
        if other:
            return f" {name!r} is spelled {other!r} there; write names alike."
    return ""


def _stem(name: str) -> str:
    """A name without its suffix."""
    return name.rpartition(".")[0] or name
