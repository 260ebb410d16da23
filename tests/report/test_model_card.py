import re

import pytest
from results_example import example_results, example_tables
from verification_example import HOSTILE, verification_example, verification_tables

from fairjax.report.model_card import escaped, markdown_table, model_card

HEADINGS = [
    "Factors",
    "Metrics",
    "Evaluation data",
    "Quantitative analyses",
    "Caveats and recommendations",
]


def headings(card):
    return re.findall(r"^## (.+)$", card, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("results", "tables"),
    [(example_results(), example_tables()), (verification_example(), verification_tables())],
    ids=["attributes", "verification"],
)
def test_a_card_has_the_sections_of_the_paper_and_whole_tables(results, tables):
    card = model_card(results, tables)
    assert headings(card) == HEADINGS
    blocks = re.findall(r"(?:^\|.*\n)+", card, flags=re.MULTILINE)
    assert len(blocks) > len(tables)
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


def test_a_card_of_verification_says_the_numbers_and_what_limits_them():
    results = verification_example()
    card = model_card(results)
    fmr = results.get("fmr", at="FMR 1e-2", race="African")
    low, high = (f"{100 * end:.1f}" for end in fmr.interval)
    assert rf"| African | {100 * fmr.value:.1f} \[{low}, {high}\] |" in card
    assert "at the thresholds 0.3043 (FMR 1e-2, from all non-mated pairs) and 0.3867" in card
    assert "annotators' guess" in card
    assert "FMR 1e-3: no pair speaks about the false match rate of South-East Asian" in card
    assert "### By race, FMR 1e-6" not in card  # a table of dashes says nothing


def test_a_card_of_attributes_keeps_their_groups_and_rules():
    card = model_card(example_results())
    assert "- Race: White, Black, Asian, Indian and Others." in card
    assert "Gender false positive rate: positive = Female; false positives / true Male" in card


def test_names_from_a_file_stay_text():
    card = model_card(verification_example())
    assert HOSTILE not in card
    assert "<script" not in card
    assert r"&lt;/script&gt;&lt;script&gt;alert" in card


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("1. first", r"1\. first"),
        ("- item", r"\- item"),
        ("# head", r"\# head"),
        ("a|b*c_d", r"a\|b\*c\_d"),
        ("http://x www.x", r"http\://x www\.x"),
        ("[a](b) @c $d$ `e` <f>", r"\[a\](b) \@c \$d\$ \`e\` &lt;f&gt;"),
        ("two\nlines", "two lines"),
        ("1e-2, plain (text)", "1e-2, plain (text)"),
    ],
)
def test_markup_is_escaped_and_plain_text_is_not(text, safe):
    assert escaped(text) == safe


def test_a_table_is_github_markdown():
    assert markdown_table(["a", "b"], [["x|y", "1"]]) == [
        "| a | b |",
        "| --- | --- |",
        r"| x\|y | 1 |",
    ]
