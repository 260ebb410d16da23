"""The one door for names."""

import unicodedata

import pytest

from fairjax.core.names import (
    DIFFERENCES,
    alike,
    clean,
    clean_path,
    dates_among_ranges,
    folded,
    is_unknown,
)


@pytest.mark.parametrize("name", ["Zo\u00eb", "A\u0308nne", "\u1112\u1161\u11ab", "\u00c5sa"])
def test_both_unicode_forms_of_a_name_are_one_name(name):
    composed, apart = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    assert composed != apart
    assert clean(composed) == clean(apart) == composed


@pytest.mark.parametrize("padded", ["anna ", " anna", "\tanna\r\n", "\u00a0anna", "\ufeffanna"])
def test_outer_blanks_do_not_belong_to_a_name(padded):
    assert clean(padded) == "anna"


def test_inner_blanks_and_case_are_kept():
    assert clean("Anna  B") == "Anna  B"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("./a.jpg", "a.jpg"),
        (" .\\x\\a.jpg", "x/a.jpg"),
        (".//./x//y/./a.jpg", "x/y/a.jpg"),
        ("../a.jpg", "../a.jpg"),
        ("x../a.jpg", "x../a.jpg"),
        (".hidden/a.jpg", ".hidden/a.jpg"),
        ("/x//a.jpg", "/x/a.jpg"),
        ("s3://x//a.jpg", "s3://x/a.jpg"),
        ("//server/a.jpg", "//server/a.jpg"),
        ("./", ""),
    ],
)
def test_one_path_has_one_spelling(written, path):
    assert clean_path(written) == path == clean_path(path)


def test_paths_are_written_with_forward_slashes():
    assert clean_path("asian\\n01\\1.jpg ") == "asian/n01/1.jpg"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nan",
        "NaN",
        "None",
        "<NA>",
        "null",
        "NULL",
        "NaT",
        "NA",
        "N/A",
        "n/a",
        "n.a.",
        "#N/A",
        "unknown",
        "Unknown",
        "-",
        "?",
    ],
)
def test_words_for_missing_values_are_unknown(name):
    assert is_unknown(name)


@pytest.mark.parametrize("name", ["Na", "Nana", "Null", "0", "no", "none", "unknown1", "a-b"])
def test_other_names_are_known(name):
    assert not is_unknown(name)


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ("Anna", "anna", "case"),
        ("Anna B", "AnnaB", "blanks"),
        ("Anna B", "Anna  B", "blanks"),
        ("p7", "p007", "leading zeros"),
        ("7", "0007", "leading zeros"),
        ("\uff21nna", "Anna", "Unicode form"),
        ("Jos\u00e9", "Jose", "accents"),
        ("Bj\u00f8rn", "Bjorn", "accents"),
        ("\u0410\u043b\u0451\u043d\u0430", "\u0410\u043b\u0435\u043d\u0430", "accents"),
        ("O'Brien", "O\u2019Brien", "quotes"),
        ("O`Brien", "O'Brien", "quotes"),
        ("O\u00b4Brien", "O\u02bcBrien", "quotes"),
        ("pers 0", "p\u0435rs 0", "letters of another alphabet that look the same"),
        ("Anna", "\u0391nna", "letters of another alphabet that look the same"),
        ("Ren\u00e9e", "RENEE", DIFFERENCES),
        ("7", "7.0", DIFFERENCES),
        ("3-9", "3\u20139", DIFFERENCES),
    ],
)
def test_names_that_look_alike_are_found_with_their_difference(first, second, difference):
    assert alike([first, "else", second]) == [(first, second, difference)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a1", "a10"),
        ("0.5", "0.05"),
        ("a_1", "a1"),
        ("10", "1"),
        ("3-9", "39"),
        ("p0", "p"),
        ("\u304b", "\u304c"),
        ("F", "\u0424"),
        ("m\u0436", "\u043c\u0436"),
    ],
)
def test_other_names_are_not_alike(first, second):
    assert alike([first, second]) == []


def test_folding_is_idempotent():
    for name in ("Anna  007", "7.0", "\uff21 01-02", "Stra\u00dfe", "\u0130\u00b4", "\u0149\u00e9"):
        assert folded(folded(name)) == folded(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("03-Sep", "3-9"), ("9-Mar", "3-9"), ("Oct-19", "10-19"), ("2003-03-09 00:00:00", "3-9")],
)
def test_a_date_among_ranges_is_taken_for_a_spreadsheets(name, meant):
    assert dates_among_ranges([name, "20-29"]) == {name: meant}
    assert dates_among_ranges([name, "adult"]) == {}
