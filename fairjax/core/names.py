"""The one door for names: of people, images, labels, identities and groups, whatever holds them.

Two files often write one name differently: macOS stores "é" as two characters, a spreadsheet drops
leading zeros, an export pads names with blanks. `clean` takes away what never tells names apart.
`alike` finds names that are still different and most likely mean one thing; callers refuse those or
report them. `is_unknown` knows the words that programs write where nothing is known.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

_UNKNOWN_WORDS = frozenset({"", "nan", "NaN", "NAN", "None", "null", "NULL", "<NA>", "NaT"})
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(rf"(?:(\d{{1,2}})-({'|'.join(_MONTHS)})|({'|'.join(_MONTHS)})-(\d{{1,2}}))")
_ISO_DATE = re.compile(r"\d{4}-(\d{2})-(\d{2})(?:[ T]00:00:00)?")
_RANGE = re.compile(r"\d+\s*[-\u2013]\s*\d+")


class Alike(NamedTuple):
    """Two names that differ, and in nothing that usually tells names apart."""

    first: str
    second: str
    difference: str


def clean(name: str) -> str:
    """The name in Unicode's composed form (NFC), without outer blanks.

    >>> clean("Zoe\u0308 ") == "Zo\u00eb"
    True
    """
    if name.isascii():
        return name.strip()
    return unicodedata.normalize("NFC", name).strip().strip("\ufeff\u200b").strip()


def clean_path(name: str) -> str:
    r"""The name of a file, with forward slashes whatever system wrote it.

    >>> clean_path(r"anna\1.jpg")
    'anna/1.jpg'
    """
    return clean(name.replace("\\", "/")) if "\\" in name else clean(name)


def is_unknown(name: str) -> bool:
    """Whether a name is empty or what programs write for a missing value: nan, None, null, <NA>.

    "NA" is a name, Namibia's code or North America; "none" is one, of people without glasses.
    """
    return name in _UNKNOWN_WORDS


def folded(name: str) -> str:
    """The name without case, blanks, leading zeros, a trailing ".0", and Unicode's variants."""
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name).translate(_INVISIBLE).translate(_DASHES)
    name = "".join(name.split()).casefold()
    if name.endswith(".0") and name[:-2].isdigit():
        name = name[:-2]
    return _LEADING_ZEROS.sub("", name) if "0" in name else name


def alike(names: Iterable[str]) -> list[Alike]:
    """Pairs of names that are one name but for case, blanks, leading zeros or Unicode form.

    Args:
      names: Cleaned names, in any order; a name may come several times.

    Returns:
      For each later name its first look-alike, in the order of the names.
    """
    seen: dict[str, str] = {}
    found = []
    for name in dict.fromkeys(names):
        other = seen.setdefault(folded(name), name)
        if other != name:
            found.append(Alike(other, name, _difference(other, name)))
    return found


def dates_among_ranges(names: Iterable[str]) -> dict[str, str]:
    """Names that a spreadsheet has most likely made of ranges, and the range: {"03-Sep": "3-9"}.

    Only where another name is a range, such as "20-29".
    """
    names = list(dict.fromkeys(names))
    found = {name: meant for name in names if (meant := _range_of_date(name))}
    return found if any(_RANGE.fullmatch(name) for name in names if name not in found) else {}


def _range_of_date(name: str) -> str:
    if hit := _DATE.fullmatch(name.casefold()):
        # "3-9" is shown as 03-Sep or as 09-Mar; the smaller number is the range's start
        day, month = int(hit[1] or hit[4]), _MONTHS.index(hit[2] or hit[3]) + 1
    elif hit := _ISO_DATE.fullmatch(name):
        month, day = int(hit[1]), int(hit[2])
    else:
        return ""
    return f"{min(day, month)}-{max(day, month)}"


def _difference(first: str, second: str) -> str:
    if first.casefold() == second.casefold():
        return "case"
    if "".join(first.split()) == "".join(second.split()):
        return "blanks"
    if _LEADING_ZEROS.sub("", first) == _LEADING_ZEROS.sub("", second):
        return "leading zeros"
    if unicodedata.normalize("NFKC", first) == unicodedata.normalize("NFKC", second):
        return "Unicode form"
    return "case, blanks, leading zeros or Unicode form"
