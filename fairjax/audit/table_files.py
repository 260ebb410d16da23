"""Tables in files of every kind, and in memory, as blocks of Arrow columns."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet
from pyarrow import json as arrow_json

from fairjax.audit.dialects import Dialect, find_dialect, open_text
from fairjax.audit.sources import InMemory, InputError, Source
from fairjax.audit.workbook import WorkbookError, read_workbook
from fairjax.core.names import clean

BLOCK = 1 << 24  # bytes of text parsed at a time
_ROWS = 1 << 18  # rows of a Parquet batch
_MISSING = ("nan", "NaN", "NAN", "None", "<NA>", "null", "NULL")  # where a number should be


def written_names(path: Source) -> list[str]:
    """The columns as the file writes them."""
    if isinstance(path, InMemory):
        return list(path.table.column_names)
    kind = kind_of(path)
    if kind == "parquet":
        return list(parquet.read_schema(path).names)
    if kind == "json":
        return _json_columns(path)
    if kind == "xlsx":
        return list(_read_workbook(path).column_names)
    with _open_csv(path, {}, {}) as reader:
        return list(reader.schema.names)


def kind_of(path: Source, *, strict: bool = True) -> str:
    """What kind of table a file is, by its name: "csv", "tsv", "parquet", "json" or "xlsx".

    Args:
      path: The file; a table in memory is "memory".
      strict: Whether another name, or a file that is not there, is refused; else it is "".

    Raises:
      InputError: If `strict`, and it is no table or does not exist.
    """
    if isinstance(path, InMemory):
        return "memory"
    kinds = {
        "csv": "csv",
        "tsv": "tsv",
        "tab": "tsv",
        "txt": "csv",
        "parquet": "parquet",
        "pq": "parquet",
        "jsonl": "json",
        "ndjson": "json",
        "xlsx": "xlsx",
    }
    ends = [end[1:].lower() for end in path.suffixes if end.lower() not in (".gz", ".bz2")]
    kind = kinds.get(ends[-1] if ends else "", "")
    if not strict:
        return kind
    if not kind:
        raise InputError(
            f"{path}: a table's name ends in .csv, .tsv, .parquet, .jsonl or .xlsx (text also in "
            ".gz)."
        )
    if not path.is_file():
        raise InputError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.")
    return kind


def blocks_of(
    path: Source, text: Sequence[str], numbers: Sequence[str], blanks: bool, missing: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """The wanted columns under their clean names."""
    written = {clean(name): name for name in written_names(path)}
    wanted = [*text, *(name for name in numbers if name not in text)]
    columns = [written[name] for name in wanted]
    if isinstance(path, InMemory):
        yield from path.table.select(columns).rename_columns(wanted).to_batches(_ROWS)
        return
    kind = kind_of(path)
    if kind == "parquet":
        with parquet.ParquetFile(path) as file:
            for block in file.iter_batches(_ROWS, columns=columns):
                yield block.select(columns).rename_columns(wanted)
    elif kind in ("json", "xlsx"):
        table = _read_json(path) if kind == "json" else _read_workbook(path)
        yield from table.select(columns).rename_columns(wanted).to_batches(_ROWS)
    else:
        with _open_csv(
            path,
            {name: written[name] for name in text},
            {name: written[name] for name in numbers},
            missing=(*_MISSING, *missing) if blanks else (),
        ) as reader:
            for block in reader:
                yield block.rename_columns(wanted)


def _open_csv(
    path: Path, text: Mapping[str, str], numbers: Mapping[str, str], *, missing: Sequence[str] = ()
) -> csv.CSVStreamingReader:
    """A reader of columns by clean name: as the file writes them."""
    dialect = dialect_of(path, list(numbers))
    types = {**{name: pa.string() for name in text.values()}}
    types |= {name: pa.float64() for name in numbers.values()}
    return csv.open_csv(
        open_text(path, dialect),
        read_options=csv.ReadOptions(
            use_threads=False, block_size=BLOCK, skip_rows=dialect.skipped
        ),
        parse_options=csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=["", *missing],  # a group may well be called NA
            strings_can_be_null=False,
            decimal_point=dialect.decimal,
        ),
    )


def dialect_of(path: Path, numbers: Sequence[str]) -> Dialect:
    """How a text table is written; `numbers` are its columns of numbers."""
    return find_dialect(path, tabs=kind_of(path) == "tsv", numbers=numbers)


def has_decimal_commas(path: Path, names: Sequence[str]) -> bool:
    """Whether any column of a text table holds numbers with decimal commas."""
    if kind_of(path) not in ("csv", "tsv"):
        return False
    return any(dialect_of(path, [name]).decimal == "," for name in names)


def _read_workbook(path: Path) -> pa.Table:
    try:
        return read_workbook(path)
    except WorkbookError as error:
        raise InputError(str(error)) from error


def _read_json(path: Path) -> pa.Table:
    with pa.input_stream(str(path), compression="detect") as file:
        return arrow_json.read_json(file, arrow_json.ReadOptions(use_threads=False))


def _json_columns(path: Path) -> list[str]:
    """Columns of the first line; a key written twice in one object counts twice."""
    with pa.input_stream(str(path), compression="detect") as file:
        line = file.read(BLOCK).split(b"\n", 1)[0]
    try:
        return [key for key, _ in json.loads(line, object_pairs_hook=list)]
    except UnicodeDecodeError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}, data row 1: expected a JSON object, one a line.") from error
