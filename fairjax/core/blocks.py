"""Rows of a large array, some at a time, so that memory is bounded."""

from collections.abc import Iterator


def blocks(rows: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows that cover 0 to `rows` in order.

    Args:
      rows: Number of rows in all.
      size: Rows of every block but the last one, above 0.

    >>> [(block.start, block.stop) for block in blocks(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
