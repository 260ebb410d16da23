"""Names that are not there but are in another spelling."""

from collections.abc import Iterable, Sequence

from fairjax.core.names import (
    folded,
)


def spelled_nearly(lost: Sequence[str], known: Iterable[str]) -> str:
    """A hint where a name that is not there is there in another spelling; "" where it is not."""
    spelled = {folded(name): name for name in known}
    ends = {name.rpartition("/")[2].rpartition(".")[0] or name: name for name in spelled.values()}
    for name in lost:
        bare = name.rpartition("/")[2]
        other = spelled.get(folded(name)) or ends.get(bare) or ends.get(bare.rpartition(".")[0])
        if other:
            return f" {name!r} is spelled {other!r} there; write names alike."
    return ""
