import argparse

import pytest

from fairjax.cli import values


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (values.positive, "1", 1),
        (values.natural, "0", 0),
        (values.finite, "-1e3", -1000.0),
        (values.fraction, "0", 0.0),
        (values.fraction, "1", 1.0),
        (values.share, "1", 1.0),
        (values.share, "0.25", 0.25),
        (values.level, "0.5", 0.5),
        (values.level, "0.999", 0.999),
        (values.score, "-1", -1.0),
        (values.score, " error ", "error"),
        (values.words, "no face, none", ("no face", "none")),
        (values.rates, "1e-3,0.5", (1e-3, 0.5)),
        (values.key_value, "model=a=b", ("model", "a=b")),
        (values.key_value, "model=", ("model", "")),
        (values.tolerance, "fnmr_difference=0", [("fnmr_difference", 0.0)]),
        (values.tolerance, "fmr_max_over_min=1", [("fmr_max_over_min", 1.0)]),
        (values.tolerance, "1", [("fmr_max_over_min", 1.0), ("fnmr_max_over_min", 1.0)]),
        (values.tolerance, "2", [("fmr_max_over_min", 2.0), ("fnmr_max_over_min", 2.0)]),
        (values.whole_numbers, "100,7", (100, 7)),
        (values.numbers, "0.1,2", (0.1, 2.0)),
        (values.size, "112", (112, 112)),
        (values.size, "112X96", (112, 96)),
        (values.by_channel, "127.5", (127.5,)),
        (values.by_channel, "1,2,3", (1.0, 2.0, 3.0)),
    ],
)
def test_a_value_is_read(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (values.positive, "0", "0 must be 1 or more"),
        (values.natural, "-1", "-1 must be 0 or more"),
        (values.finite, "nan", "nan must be a finite number"),
        (values.finite, "-inf", "-inf must be a finite number"),
        (values.fraction, "-0.1", "-0.1 must be between 0 and 1, as 0.01"),
        (values.fraction, "1.1", "1.1 must be between 0 and 1, as 0.01"),
        (values.fraction, "nan", "nan must be between 0 and 1, as 0.01"),
        (values.share, "nan", "nan must be above 0 and at most 1, as 0.1"),
        (values.share, "0", "0 must be above 0 and at most 1, as 0.1"),
        (values.share, "1.5", "1.5 must be above 0 and at most 1, as 0.1"),
        (values.level, "0.49", "0.49 must be at least 0.5 and below 1, as 0.95"),
        (values.level, "1", "1 must be at least 0.5 and below 1, as 0.95"),
        (values.rates, "0.1,1", "0.1,1: a rate is a fraction between 0 and 1, as 1e-3"),
        (values.rates, "0", "0: a rate is a fraction between 0 and 1, as 1e-3"),
        (values.key_value, "model", "'model' is not KEY=VALUE"),
        (values.key_value, "=v3", "'=v3' is not KEY=VALUE"),
        (values.tolerance, "0.5", "0.5: a bare tolerance is a ratio of 1 or more"),
        (values.tolerance, "nan", "nan: a bare tolerance is a ratio of 1 or more"),
        (
            values.tolerance,
            "fmr_difference=nan",
            "fmr_difference=nan: this gap is a number from 0 on",
        ),
        (
            values.tolerance,
            "fmr_max_over_min=inf",
            "fmr_max_over_min=inf: this gap is a number from 1 on",
        ),
        (values.tolerance, "=2", "'=2' is not KEY=VALUE"),
        (values.tolerance, "inf", "inf: a bare tolerance is a ratio of 1 or more"),
        (
            values.tolerance,
            "fmr_max_over_min=0.9",
            "fmr_max_over_min=0.9: this gap is a number from 1 on",
        ),
        (
            values.tolerance,
            "fmr_difference=-0.1",
            "fmr_difference=-0.1: this gap is a number from 0 on",
        ),
        (values.size, "1x2x3", "1x2x3 must be one number, or HEIGHTxWIDTH"),
        (values.size, "0x2", "0 must be 1 or more"),
        (values.by_channel, "1,2,3,4", "1,2,3,4 must be one number, or three with commas"),
        (values.by_channel, "1,2", "1,2 must be one number, or three with commas"),
    ],
)
def test_a_wrong_value_says_what_is_expected(read, text, message):
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        read(text)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "read", [values.positive, values.natural, values.share, values.level, values.rates]
)
def test_a_word_for_a_number_is_left_to_argparse(read):
    with pytest.raises(ValueError, match="could not convert|invalid literal"):
        read("many")
