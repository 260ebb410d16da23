"""A table of people or of images: who is on which image, and in which groups people are."""

from collections.abc import Sequence

from fairjax.audit.layout import IMAGES, SUBJECTS, People
from fairjax.audit.tables import (
    InputError,
    Source,
    check_columns,
    column_names,
    listed,
    read_words,
    with_points,
)
from fairjax.core.names import clean_path


def load_people(
    path: Source,
    *,
    subject: str = "",
    image: str = "",
    own_subject: str = "",
    own_image: str = "",
) -> People:
    """Reads a table with one row a person or one row an image.

    A column of images makes it a table of images; then the people may be in it as well. Every other
    column is an attribute; numbers with decimal commas get points.

    Args:
      path: CSV, TSV, Parquet or JSON lines.
      subject: The column of people, where this table has one of that name; "" finds the customary
        name.
      image: The column of images, likewise.
      own_subject: The column of people, which must be there.
      own_image: The column of images, which must be there.

    Raises:
      InputError: If a named column is missing, no column names people or images, or a key is
        missing or there twice.
    """
    names = column_names(path)
    check_columns(path, [name for name in (own_subject, own_image) if name])
    flags = ("--groups-subject", "--groups-image")
    who = own_subject or _column(path, names, subject, SUBJECTS, flags[0])
    which = own_image or _column(path, names, image, IMAGES, flags[1])
    key = which or who
    if key is None:
        raise InputError(
            f"{path} has no column of people or images (it has {listed(names)}); name it with "
            "--groups-subject or --groups-image."
        )
    attributes = [name for name in names if name not in (who, which)]
    text = [*filter(None, [who, which]), *attributes]
    columns = read_words(path, text)
    if which:
        columns[which] = [clean_path(name) for name in columns[which]]
    _check_keys(path, key, columns[key])
    columns |= {name: with_points(path, [name], columns[name]) for name in attributes}
    return People(
        source=str(path),
        key="image" if which else "subject",
        subject=dict(zip(columns[which], columns[who], strict=True)) if which and who else {},
        groups={name: dict(zip(columns[key], columns[name], strict=True)) for name in attributes},
    )


def _check_keys(path: Source, key: str, values: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for row, value in enumerate(values, 1):
        if not value:
            raise InputError(f"{path}, data row {row}: {key} is empty.")
        if value in ("nan", "NaN", "<NA>"):
            raise InputError(f"{path}, data row {row}: {key} is {value!r}, which says nothing.")
        first = seen.setdefault(value, row)
        if first != row:
            raise InputError(
                f"{path}: {key} {value!r} is in data rows {first} and {row}; keep one row a {key}."
            )


def _column(
    path: Source, names: Sequence[str], wanted: str, customary: Sequence[str], flag: str
) -> str | None:
    if wanted and "," not in wanted and wanted in names:
        return wanted
    columns = [name for name in names if name.lower().replace(" ", "_") in customary]
    if len(columns) > 1:
        raise InputError(f"{path} has {listed(columns)}; say which with {flag}.")
    return next(iter(columns), None)
