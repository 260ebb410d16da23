"""Images in order of group and person, and the cosines of all their pairs in blocks."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from fairjax.core.blocks import blocks
from fairjax.core.comparisons import Embeddings, unit_length

BLOCK = 2048  # images a side of a block: 16 MiB of scores
_ANY = np.float32(-2.0)  # below every cosine; there is no pair where a block holds -inf


class PairGrid:
    """The images in order of group and subject, and the blocks of pairs i < j of them."""

    def __init__(self, embeddings: Embeddings, person: np.ndarray | None) -> None:
        self.groups = embeddings.groups
        cell = np.where(embeddings.group < 0, len(self.groups), embeddings.group)
        order = np.lexsort((embeddings.subject, cell))
        self.unit = unit_length(embeddings.embedding[order].astype(np.float32))
        self.cell = cell[order]
        self.names, self.subject = np.unique(embeddings.subject[order], return_inverse=True)
        person = embeddings.subject if person is None else person
        _, self.person = np.unique(person[order], return_inverse=True)
        first, second = self._same_person()  # `first` is the lower row of each pair
        key = self._block_number(first, second)
        by_block = np.argsort(key, kind="stable")
        self._same = first[by_block], second[by_block], key[by_block]
        is_mated = self.subject[first] == self.subject[second]
        self.mated_first, self.mated_second = first[is_mated], second[is_mated]
        self.excluded = int((~is_mated).sum())
        size, people = len(self.groups) + 1, len(self.names)
        self.mated = np.bincount(self.cell[self.mated_first], minlength=size)
        self.person_mated = np.bincount(self.subject[self.mated_first], minlength=people)
        # non-mated pairs from both sides: all ordered couples of images, less those of one person
        ends, others = np.concatenate([first, second]), np.concatenate([second, first])
        images = np.bincount(self.cell, minlength=size)
        taken = np.bincount(self.cell[ends] * size + self.cell[others], minlength=size * size)
        self.nonmated = np.outer(images, images) - np.diag(images) - taken.reshape(size, size)
        self.nonmated[np.diag_indices(size)] //= 2
        self.person_nonmated = np.bincount(self.subject) * (len(order) - 1) - np.bincount(
            self.subject[ends], minlength=people
        )

    def _same_person(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of every pair of images of one person, under whichever numbers."""
        order = np.argsort(self.person, kind="stable")
        images = np.bincount(self.person)
        start = np.cumsum(images) - images
        first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number in np.unique(images):  # all people with so many images at once
            one, other = np.triu_indices(number, 1)
            theirs = start[images == number, None]
            first.append(order[theirs + one].reshape(-1))
            second.append(order[theirs + other].reshape(-1))
        return np.concatenate(first), np.concatenate(second)

    def _block_number(
        self, row: Int[np.ndarray, "*pairs"], column: Int[np.ndarray, "*pairs"]
    ) -> Int[np.ndarray, "*pairs"]:
        """A number of the block that holds each pair; numbers of later blocks are larger."""
        return row // BLOCK * len(self.unit) + column // BLOCK

    def blocks(self, *, within_groups: bool = False) -> Iterator[tuple[int, int, np.ndarray]]:
        """(first row, first column, scores) of the upper triangle; -inf where there is no pair.

        A score may lie outside [-1, 1] by rounding. The next block overwrites the scores.

        Args:
          within_groups: Whether there are only the pairs within known groups.
        """
        memory = np.empty(BLOCK**2, np.float32)
        unknown = len(self.groups)
        one, other, number = self._same
        for rows, columns in _upper_triangle(len(self.unit)):
            row_cell, column_cell = self.cell[rows], self.cell[columns]
            if within_groups and (row_cell[-1] < column_cell[0] or row_cell[0] == unknown):
                continue  # cells ascend: no pair within a group
            shape = len(row_cell), len(column_cell)
            scores = memory[: shape[0] * shape[1]].reshape(shape)
            np.matmul(self.unit[rows], self.unit[columns].T, out=scores)
            own = self._block_number(np.array([rows.start]), np.array([columns.start]))
            same = slice(*np.searchsorted(number, own + np.arange(2)))
            scores[one[same] - rows.start, other[same] - columns.start] = -np.inf
            if rows == columns:
                scores[np.tri(len(scores), dtype=bool)] = -np.inf
            if within_groups and row_cell[0] != column_cell[-1]:
                scores[
                    (row_cell[:, None] != column_cell) | (row_cell[:, None] == unknown)
                ] = -np.inf
            yield rows.start, columns.start, scores

    def mated_scores(self) -> np.ndarray:
        """The score of every mated pair."""
        scores = np.empty(len(self.mated_first), np.float32)
        for some in blocks(len(scores), BLOCK):
            one, other = self.mated_first[some], self.mated_second[some]
            scores[some] = np.einsum("pd,pd->p", self.unit[one], self.unit[other])
        return np.clip(scores, -1.0, 1.0)


def _upper_triangle(images: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks that hold the pairs i <= j."""
    sides = list(blocks(images, BLOCK))
    for k, rows in enumerate(sides):
        for columns in sides[k:]:
            yield rows, columns


def scores_reaching(scores: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The scores of a block from a floor on, clipped to [-1, 1], and their rows and columns.

    The next lower float32 counts as the floor, too: a floor of more precision misses no score.
    """
    least = _ANY if floor <= -1 else np.nextafter(np.float32(min(floor, 1.0)), _ANY)
    flat = scores.reshape(-1)
    place = np.flatnonzero(flat >= least)
    row, column = np.divmod(place, scores.shape[1])
    return np.clip(flat[place], -1.0, 1.0), row, column
