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

_UNKNOWN_WORDS = frozenset({"", "nan", "NaN", "NAN", "None", "null", "NULL", "<NA>", "NaT", "NA"})
_UNKNOWN_IN_ANY_CASE = frozenset(
    {
        "n/a",
        "#n/a",
        "n.a.",
        "n.a",
        "unknown",
        "not available",
        "-",
        "--",
        "\u2013",
        "\u2014",
        "?",
        "??",
    }
)
# What may mean "unknown", in several languages; a reader is told, and nothing is left out.
_PERHAPS_UNKNOWN = re.compile(
    "undefined|unspecified|undetermined|indeterminate|unclear|missing|no data|no answer|"
    "not (specified|stated|disclosed)|prefer not to say|unbekannt|keine angabe|k\\.a\\.|inconnue?|"
    "non renseigne|desconocid[oa]|desconhecid[oa]|sconosciut[oa]|onbekend|okand|ukjent|ukendt|"
    "tuntematon|nieznan[ya]|neznamy|\u043d\u0435\u0438\u0437\u0432\u0435\u0441\u0442\u043d\u043e|"
    "\u672a\u77e5|\u4e0d\u660e"
)
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
_QUOTES = dict.fromkeys(map(ord, "`\u00b4\u02b9\u02bb\u02bc\u2018\u2019\u201a\u201b\u2032"), "'")
_QUOTES |= dict.fromkeys(map(ord, "\u00ab\u00bb\u201c\u201d\u201e\u201f\u2033"), '"')
_ACCENTS = re.compile("[\u0300-\u036f]")  # the marks of Latin, Greek and Cyrillic letters
_STROKES = str.maketrans("\u00f8\u00d8\u0142\u0141\u0111\u0110\u0131", "oOlLdDi")
# Letters of Cyrillic and Greek, capitals of which look like Latin ones: a keyboard's other layout.
_LOOKALIKES = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0455\u0456\u0458"
    "\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7",
    "abekmhopctyxsij" + "abezhikmnoptyx",
)
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(rf"(?:(\d{{1,2}})-({'|'.join(_MONTHS)})|({'|'.join(_MONTHS)})-(\d{{1,2}}))")
_SLASHES = re.compile(r"(?<=[^:/])/(?:\.?/)+")  # not those of s3:// or //server
_HERE = re.compile(r"^(?:\./+)+")
_ISO_DATE = re.compile(r"\d{4}-(\d{2})-(\d{2})(?:[ T]00:00:00)?")
_RANGE = re.compile(r"\d+\s*[-\u2013]\s*\d+")


DIFFERENCES = "case, blanks, accents, quotes, look-alike letters, leading zeros or Unicode form"


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
    r"""The name of a file, with single forward slashes and no "./", whatever system wrote it.

    >>> clean_path(r".\anna\\1.jpg")
    'anna/1.jpg'
    """
    name = clean(name.replace("\\", "/"))
    if "//" in name or "./" in name:
        name = _HERE.sub("", _SLASHES.sub("/", name))
    return name


def is_unknown(name: str) -> bool:
    """Whether a name is empty or what stands for a missing value: nan, NA, N/A, unknown, ?.

    Callers offer a way to say that such a word is a name: "NA" may be Namibia's code.
    "none" is a name, of people without glasses, and so is "Na".
    """
    return name in _UNKNOWN_WORDS or name.lower() in _UNKNOWN_IN_ANY_CASE


def may_be_unknown(name: str) -> bool:
    """Whether a name may say that nothing is known, in another language or in other words.

    >>> may_be_unknown("Unbekannt"), may_be_unknown("other")
    (True, False)
    """
    lower = unicodedata.normalize("NFD", name.casefold()).translate(_STROKES)
    return _PERHAPS_UNKNOWN.fullmatch(_ACCENTS.sub("", lower)) is not None


def how_unknown(name: str) -> str:
    """How an unknown name is shown to the reader, after "is".

    >>> how_unknown("nan"), how_unknown("")
    ("'nan', which says nothing", 'empty')
    """
    return f"{name!r}, which says nothing" if name else "empty"


def folded(name: str) -> str:
    """The name without case, blanks, accents, leading zeros, a trailing ".0", Unicode's variants.

    Accents are the marks and strokes of Latin, Greek and Cyrillic letters; the marks of other
    scripts tell letters apart and stay. Letters that look Latin become so, if the name then is.

    >>> folded("Ren\u00e9e O\u2019Brien")
    "reneeo'brien"
    """
    name = name.translate(_QUOTES)
    if not name.isascii():
        name = unicodedata.normalize("NFKC", _without_accents(name))
        name = name.translate(_INVISIBLE).translate(_DASHES).translate(_QUOTES)
    name = "".join(name.split()).casefold()
    if not name.isascii():
        mapped = name.translate(_LOOKALIKES)
        name = mapped if mapped.isascii() else name  # else a name of another alphabet
    if name.endswith(".0") and name[:-2].isdigit():
        name = name[:-2]
    return _LEADING_ZEROS.sub("", name) if "0" in name else name


def alike(names: Iterable[str]) -> list[Alike]:
    """Pairs of names that are one name but for what `DIFFERENCES` lists.

    Args:
      names: Cleaned names, in any order; a name may come several times.

    Returns:
      For each later name its first look-alike, in the order of the names.
    """
    seen: dict[str, str] = {}
    pairs = []
    for name in dict.fromkeys(names):
        other = seen.setdefault(folded(name), name)
        if other != name:
            pairs.append(Alike(other, name, _difference(other, name)))
    return pairs


def counted(count: int, one: str, many: str = "") -> str:
    """A count and its noun, such as "1 such row" or "3,000 such rows".

    Args:
      count: How many.
      one: The noun for one of them.
      many: The noun for several; "" is `one` with an s.

    >>> counted(1, "such row"), counted(2, "person", "people")
    ('1 such row', '2 people')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def dates_among_ranges(names: Iterable[str]) -> dict[str, str]:
    """Names that a spreadsheet has most likely made of ranges, and the range: {"03-Sep": "3-9"}.

    Only where another name is a range, such as "20-29".
    """
    names = list(dict.fromkeys(names))
    ranges = {name: meant for name in names if (meant := _range_of_date(name))}
    return ranges if any(_RANGE.fullmatch(name) for name in names if name not in ranges) else {}


def _range_of_date(name: str) -> str:
    if hit := _DATE.fullmatch(name.casefold()):
        # "3-9" is shown as 03-Sep or as 09-Mar; the smaller number is the range's start
        day, month = int(hit[1] or hit[4]), _MONTHS.index(hit[2] or hit[3]) + 1
    elif hit := _ISO_DATE.fullmatch(name):
        month, day = int(hit[1]), int(hit[2])
    else:
        return ""
    return f"{min(day, month)}-{max(day, month)}"


def _without_accents(name: str) -> str:
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", name)).translate(_STROKES)
    return unicodedata.normalize("NFC", bare)


def _difference(first: str, second: str) -> str:
    if first.casefold() == second.casefold():
        return "case"
    if "".join(first.split()) == "".join(second.split()):
        return "blanks"
    if _LEADING_ZEROS.sub("", first) == _LEADING_ZEROS.sub("", second):
        return "leading zeros"
    if unicodedata.normalize("NFKC", first) == unicodedata.normalize("NFKC", second):
        return "Unicode form"
    if _without_accents(first) == _without_accents(second):
        return "accents"
    if first.translate(_QUOTES) == second.translate(_QUOTES):
        return "quotes"
    if first.casefold().translate(_LOOKALIKES) == second.casefold().translate(_LOOKALIKES):
        return "letters of another alphabet that look the same"
    return DIFFERENCES
