"""Arguments of `fairjax.audit(...)` as columns of a table: names, arrays, series and frames."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairjax.audit.tables import Source


class ArgumentColumns:
    """Collects the columns that arguments name or bring.

    Args:
      data: The table, or None.
      embedding: What the columns of an embedding's dimensions begin with.
    """

    def __init__(self, data: Any, embedding: str) -> None:
        from fairjax.audit.frames import as_source, named_columns

        several = isinstance(data, list | tuple) and all(isinstance(d, str | Path) for d in data)
        self._sources: list[Source] = []
        if several and data:
            self._sources = [as_source(table) for table in data]
        elif data is not None:
            self._sources = [as_source(data)]
        self._has_table = data is not None
        self._columns = named_columns(data) or {}
        self._added: dict[str, Any] = {}
        self._indexes: dict[str, Any] = {}
        self._label: Any = None
        if hasattr(getattr(data, "index", None), "equals"):
            self._indexes["data"] = data.index

    @property
    def vectors(self) -> bool:
        """Whether the table is one of embeddings."""
        from fairjax.audit.foreign import adopt

        if not self._sources:
            return False
        first = adopt(self._sources[0])
        return first.suffix in (".npz", ".npy") if isinstance(first, Path) else bool(first.vectors)

    def name_of(self, value: Any, default: str) -> str:
        """The name of a column, which is added if it is brought; "" for None.

        Two names, of the columns of both sides, are one name with a comma.
        """
        from fairjax.audit.frames import two_sides

        if value is None:
            return ""
        if isinstance(value, str):
            self._label = self._columns.get(value) if default == "label" else self._label
            return value
        if default in ("subject", "image") and self._is_names(value) and len(value) == 2:
            return ",".join(value)
        both = None if default in ("label", "fold", "prediction", "score") else two_sides(value)
        if both:
            self._add({f"{default}1": both[0], f"{default}2": both[1]})
            return default
        own = getattr(value, "name", None)
        if default == "prediction":
            value = _spelled_like(value, self._label)
        elif default == "label":
            self._label = value
        name = str(own) if own not in (None, "") and not self.vectors else default
        name = default if name in self._added else name  # predictions named like the labels
        self._add({name: value})
        return "" if self.vectors else name  # a table of embeddings is read by customary names

    def scores(self, value: Any, default: str) -> tuple[str, ...]:
        """The names of one or several columns of scores."""
        from fairjax.audit.frames import named_columns
        from fairjax.audit.tables import InputError

        if value is None:
            return ()
        if self._is_names(value):
            return tuple(value)
        if (columns := named_columns(value)) is not None:
            self._add(columns)
            return tuple(columns)
        shape = getattr(value, "shape", (0,))
        if len(shape) > 1:
            raise InputError(
                f"y_score has shape {tuple(shape)}; give one score a row, such as "
                "predict_proba(X)[:, 1], or a dict or frame of several systems."
            )
        return (self.name_of(value, default),)

    def attributes(self, value: Any) -> tuple[str, ...]:
        """The attribute, as `--by` takes it."""
        from fairjax.audit.frames import named_columns, two_sides
        from fairjax.audit.layout import base_of_sides

        if value is None:
            return ()
        if self._is_names(value):
            return ("+".join(value),)
        if isinstance(value, str):
            return (value,)
        if (columns := named_columns(value)) is None:
            own = getattr(value, "name", None)
            columns = {str(own) if own not in (None, "") else "group": value}
        if len(columns) == 2 and (base := base_of_sides(*columns)):  # a frame of race1 and race2
            self._add(columns)
            return (f"{base}={','.join(columns)}",)
        for name, column in columns.items():
            both = two_sides(column)
            self._add({f"{name}1": both[0], f"{name}2": both[1]} if both else {name: column})
        return ("+".join(columns),)

    def sources(self) -> list["Source"]:
        """The tables, with the columns that were brought."""
        import pyarrow as pa

        from fairjax.audit.frames import with_columns
        from fairjax.audit.tables import InMemory, InputError

        sources = list(self._sources)
        if not sources:
            if not self._added:
                raise InputError("nothing to audit: give a table, or y_true and y_pred or y_score.")
            sources = [InMemory(pa.table({}))]
        first = sources[0]
        if self._added and not isinstance(first, InMemory):
            raise InputError(
                f"{first} is a file and {next(iter(self._added))!r} an array; read the file into a "
                "frame first, or name a column of it."
            )
        if isinstance(first, InMemory):
            first = with_columns(first, self._added)
            sources[0] = _with_row_numbers(first) if first.vectors else first
        return sources

    def _add(self, columns: Mapping[str, Any]) -> None:
        """Takes columns; two arguments may bring one name only if they bring the same values."""
        from fairjax.audit.frames import same_values
        from fairjax.audit.tables import InputError

        for name, column in columns.items():
            self._require_order(name, column)
            if name in self._added and not same_values(self._added[name], column):
                raise InputError(
                    f"two arguments bring a column named {name!r} with other values; rename one of "
                    "the series."
                )
            self._added[name] = column

    def _require_order(self, name: str, column: Any) -> None:
        """Refuses a series whose index is that of another one in another order.

        Rows go by position. An index with other labels says nothing: a split's, beside a new one.
        """
        from fairjax.audit.tables import InputError

        index: Any = getattr(column, "index", None)
        if not hasattr(index, "equals") or not index.is_unique:
            return
        for other, known in self._indexes.items():
            if not index.equals(known) and index.sort_values().equals(known.sort_values()):
                raise InputError(
                    f"{name!r} and {other!r} have one index in two orders, and rows go by position;"
                    f" align them first, such as by {name}.reindex({other}.index)."
                )
        self._indexes[name] = index

    def _is_names(self, value: Any) -> bool:
        """Whether a value is a list of names of columns, and not a column of words."""
        return (
            self._has_table
            and isinstance(value, list | tuple)
            and all(isinstance(word, str) for word in value)
        )


def _spelled_like(prediction: Any, label: Any) -> Any:
    """Predictions with True for 1, or 1 for True, where the labels are of the other sort."""
    import numpy as np

    label, prediction = (
        np.asarray(column) if isinstance(column, list | tuple) else column
        for column in (label, prediction)
    )
    kinds = [getattr(getattr(column, "dtype", None), "kind", "") for column in (label, prediction)]
    if kinds[0] in ("i", "u") and kinds[1] == "b":
        return prediction.astype(label.dtype)
    if kinds[0] == "b" and kinds[1] in ("i", "u") and ((prediction == 0) | (prediction == 1)).all():
        return prediction.astype(bool)
    return prediction


def _with_row_numbers(source: Any) -> Any:
    """Embeddings whose images have no name, named by their row from 0 on."""
    from fairjax.audit.frames import with_columns
    from fairjax.audit.layout import IMAGES

    customary = (*IMAGES, "name", "id")
    if any(name.lower().removesuffix("s") in customary for name in source.table.column_names):
        return source
    rows = len(next(iter(source.vectors.values())))
    return with_columns(source, {"image": list(map(str, range(rows)))})


def pair_table(pairs: Any) -> Any:
    """A table of pairs of images, of an array [pairs, 2] too."""
    from fairjax.audit.frames import as_source, two_sides

    if pairs is None:
        return None
    named = isinstance(pairs, str | os.PathLike | Mapping) or hasattr(pairs, "columns")
    both = None if named else two_sides(pairs)
    return as_source(
        {"image1": both[0], "image2": both[1]} if both else pairs, "the table of pairs"
    )


def words_of(value: Any) -> tuple[str, ...]:
    """A label as a table of text spells it: 1 and 1.0 are "1", True is "true"; a word stays."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if hasattr(value, "__iter__"):
        return tuple(word for item in value for word in words_of(item))
    text = str(value)
    return (text.lower() if text in ("True", "False") else text.removesuffix(".0"),)


def as_sequence(value: Any) -> Sequence[Any]:
    """One number or several, as several."""
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
