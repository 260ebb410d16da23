"""A table of people or of images: who is on which image, and in which groups people are."""

from collections.abc import Sequence
from pathlib import Path

from fairjax.audit.layout import IMAGES, SUBJECTS, People
from fairjax.audit.tables import InputError, column_names, listed, read_batches


def load_people(path: Path, *, subject: str = "", image: str = "") -> People:
    """Reads a table with one row a person or one row an image.

    A column of images makes it a table of images; then the people may be in it as well. Every other
    column is an attribute.

    Args:
      path: CSV, TSV, Parquet or JSON lines.
      subject: The column of people; "" finds the customary name.
      image: The column of images; "" finds the customary name.

    Raises:
      InputError: If there is no such column, a key is missing or there twice, or nothing but keys.
    """
    names = column_names(path)
    who = _column(path, names, subject, SUBJECTS, "--subject")
    which = _column(path, names, image, IMAGES, "--image")
    key = which or who
    if key is None:
        raise InputError(
            f"{path} has no column of people or images (it has {listed(names)}); name it with "
            "--subject or --image."
        )
    attributes = [name for name in names if name not in (who, which)]
    text = [*filter(None, [who, which]), *attributes]
    columns: dict[str, list[str]] = {name: [] for name in text}
    for batch in read_batches(path, text=text, numbers=[]):
        for name in text:
            columns[name] += batch.columns[name].to_pylist()
    _check_keys(path, key, columns[key])
    return People(
        source=str(path),
        key="image" if which else "subject",
        subject=dict(zip(columns[which], columns[who], strict=True)) if which and who else {},
        groups={name: dict(zip(columns[key], columns[name], strict=True)) for name in attributes},
    )


def _check_keys(path: Path, key: str, values: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for row, value in enumerate(values, 1):
        if not value:
            raise InputError(f"{path}, data row {row}: {key} is empty.")
        first = seen.setdefault(value, row)
        if first != row:
            raise InputError(f"{path}: {key} {value!r} is in data rows {first} and {row}.")


def _column(
    path: Path, names: Sequence[str], asked: str, customary: Sequence[str], flag: str
) -> str | None:
    if asked and "," not in asked and asked in names:
        return asked
    found = [name for name in names if name.lower() in customary]
    if len(found) > 1:
        raise InputError(f"{path} has {listed(found)}; say which with {flag}.")
    return found[0] if found else None
