"""Blocks of rows: each row once, in order, never more than asked for."""

import pytest

from fairjax.core.blocks import blocks


@pytest.mark.parametrize("rows", [0, 1, 6, 7, 8])
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_blocks_hold_every_row_once_in_order(rows, size):
    parts = [list(range(rows))[block] for block in blocks(rows, size)]
    assert sum(parts, []) == list(range(rows))
    assert all(len(part) == size for part in parts[:-1])
    assert all(0 < len(part) <= size for part in parts)
    assert all(block.stop <= rows for block in blocks(rows, size))
