"""Tables and arrays of a Python program as the tables that an audit reads."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fairjax.audit.tables import InMemory, InputError, Source

_ONE_TYPE = "make each column all text or all numbers"


def as_source(data: Any, name: str = "the table") -> Source:
    """A path as it is; anything else as a table in memory.

    Args:
      data: A path, a dict of arrays, a pandas or Polars frame, a pyarrow table, or an array of
        embeddings [images, dim].
      name: Name of the table in messages.

    Raises:
      InputError: If it is none of these, or its columns differ in length.
    """
    if isinstance(data, str | os.PathLike):
        return Path(data)
    if isinstance(data, Mapping):
        return with_columns(InMemory(pa.table({}), name=name), named_columns(data) or {})
    if not hasattr(data, "columns") and _axes(data) == 2:
        return InMemory(pa.table({}), {"embedding": np.asarray(data)}, name)
    table = _as_arrow(data, name)
    table = pa.table([_plain(column) for column in table.columns], table.column_names)
    lists = [field.name for field in table.schema if _is_list(field.type)]
    vectors = {column: _as_vectors(table.column(column), column, name) for column in lists}
    return InMemory(table.drop_columns(lists) if lists else table, vectors, name)


def with_columns(source: InMemory, columns: Mapping[str, Any]) -> InMemory:
    """A table with more columns; one of a name that is there must have its values.

    Args:
      source: The table; without a row it takes the length of the first column.
      columns: Arrays of one value a row, or of one vector a row [rows, dim].

    Raises:
      InputError: If a column mixes types, has more axes, or is longer or shorter than the others.
    """
    table, vectors = source.table, dict(source.vectors)
    for name, values in columns.items():
        column = np.asarray(values) if _axes(values) == 2 else _as_column(values, name, source.name)
        length = _rows(table, vectors)
        if length is not None and len(column) != length:
            raise InputError(
                f"{source}: {name!r} has {len(column):,} rows, the others have {length:,}; give "
                "columns of one length."
            )
        if isinstance(column, np.ndarray):
            vectors[name] = column
        elif name in table.column_names:
            if not same_values(table.column(name), column):
                raise InputError(
                    f"{source} has a column {name!r} with other values than the series of that "
                    "name; rename the series."
                )
        elif table.num_columns:
            table = table.append_column(name, column)
        else:
            table = pa.table({name: column})
    return InMemory(table, vectors, source.name)


def same_values(column: Any, other: Any) -> bool:
    """Whether two columns hold the same values."""
    return np.array_equal(np.asarray(column).astype(str), np.asarray(other).astype(str))


def named_columns(value: Any) -> dict[str, Any] | None:
    """The columns of a dict, a pandas or Polars frame or a pyarrow table; None of anything else."""
    if isinstance(value, Mapping):
        return {str(name): column for name, column in value.items()}
    if isinstance(value, pa.Table):
        return dict(zip(value.column_names, value.columns, strict=True))
    if hasattr(value, "columns"):
        return {str(name): value[name] for name in value.columns}
    return None


def two_sides(values: Any) -> tuple[Any, Any] | None:
    """The left and the right column of an array [pairs, 2]; None of an array [rows]."""
    if _axes(values) != 2:
        return None
    both = np.asarray(values)
    return (both[:, 0], both[:, 1]) if both.shape[1] == 2 else None


def _axes(values: Any) -> int:
    shape = getattr(values, "shape", None)
    if shape is not None:
        return len(shape)
    if isinstance(values, list | tuple) and values and isinstance(values[0], list | tuple):
        return 2
    return 1


def _rows(table: pa.Table, vectors: Mapping[str, np.ndarray]) -> int | None:
    """How many rows a table has; None where it has no column."""
    if table.num_columns:
        return table.num_rows
    return len(next(iter(vectors.values()))) if vectors else None


def _as_column(values: Any, column: str, name: str) -> pa.Array | pa.ChunkedArray:
    """One column of one value a row, whatever holds the values."""
    axes = _axes(values)
    if axes != 1 or isinstance(values, str) or not hasattr(values, "__len__"):
        kind = f"{axes} axes" if axes != 1 else f"{type(values).__name__}"
        raise InputError(
            f"{name}: {column!r} is no column ({kind}); give an array of one value a row."
        )
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        if _is_pandas(values):
            return pa.array(values, from_pandas=True)
        if hasattr(values, "__arrow_c_stream__"):  # Polars
            return _plain(pa.chunked_array(values))
        plain = np.asarray(values) if hasattr(values, "__array__") else list(values)
        return pa.array(plain, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(
            f"{name}: {column!r} cannot be read ({_line(error)}); {_ONE_TYPE}."
        ) from error


def _as_arrow(data: Any, name: str) -> pa.Table:
    try:
        if _is_pandas(data) and hasattr(data, "columns"):
            return pa.Table.from_pandas(data, preserve_index=False)
        if isinstance(data, pa.Table) or hasattr(data, "__arrow_c_stream__"):
            return pa.table(data)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"{name} cannot be read ({_line(error)}); {_ONE_TYPE}.") from error
    raise InputError(
        f"a {type(data).__name__} is no table; give a path, a dict of arrays, a pandas or Polars "
        "frame, a pyarrow table, or an array of embeddings [images, dim]."
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as plain strings: Arrow cannot look up the string views that Polars holds."""
    if column.type == pa.string_view():
        return column.cast(pa.string())
    if pa.types.is_dictionary(column.type) and column.type.value_type == pa.string_view():
        chunks = [
            pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.string()))
            for chunk in column.chunks
        ]
        return pa.chunked_array(chunks)
    return column


def _is_pandas(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas"


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _as_vectors(column: pa.ChunkedArray, title: str, name: str) -> np.ndarray:
    """A column of lists as an array [rows, dim]."""
    rows = column.to_pylist()
    widths = {len(row) if row is not None else 0 for row in rows}
    if len(widths) != 1:
        raise InputError(
            f"{name}: the vectors of {title!r} have {min(widths)} to {max(widths)} numbers; give "
            "vectors of one length, none missing."
        )
    return np.array(rows)


def _line(error: Exception) -> str:
    """An error's message as part of a line."""
    return " ".join(str(argument) for argument in error.args).split("\n")[0].rstrip(".")
