"""Terms of the standards beside our measures, and what the results are evidence for."""

from collections.abc import Callable
from typing import NamedTuple

from fairjax.core.results import Results, Table
from fairjax.report.sections import Section

_TERMS = (  # name here, term, where the term stands
    ("fmr", "false match rate (FMR)", "ISO/IEC 19795-1"),
    ("fnmr", "false non-match rate (FNMR)", "ISO/IEC 19795-1"),
    ("tmr", "1 - FNMR", "ISO/IEC 19795-1"),
    ("far", "false accept rate (FAR)", "ISO/IEC 19795-1"),
    ("frr", "false reject rate (FRR)", "ISO/IEC 19795-1"),
    ("fta", "failure-to-acquire rate (FTA)", "ISO/IEC 19795-1"),
    ("fte", "failure-to-enrol rate (FTE)", "ISO/IEC 19795-1"),
    ("fpir", "false positive identification rate (FPIR)", "ISO/IEC 19795-1"),
    ("fnir", "false negative identification rate (FNIR)", "ISO/IEC 19795-1"),
    ("fmr_max_over_min", "false positive differential, largest over smallest", "ISO/IEC 19795-10"),
    ("fnmr_max_over_min", "false negative differential, largest over smallest", "ISO/IEC 19795-10"),
    ("fmr_difference", "differential performance in FMR", "ISO/IEC 19795-10"),
    ("fnmr_difference", "differential performance in FNMR", "ISO/IEC 19795-10"),
    (
        "fmr_max_over_geomean",
        "false positive differential, over geometric mean",
        "NIST FRVT Part 8",
    ),
    (
        "fnmr_max_over_geomean",
        "false negative differential, over geometric mean",
        "NIST FRVT Part 8",
    ),
    ("inequity_rate", "inequity rate", "NIST FRVT Part 8"),
    ("garbe", "Gini aggregation rate for biometric equitability", "Howard et al. 2022"),
    ("fairness_discrepancy_rate", "fairness discrepancy rate", "de Freitas Pereira, Marcel 2020"),
)


class _Evidence(NamedTuple):
    """One line of the list.

    Attributes:
      article: Article of Regulation (EU) 2024/1689.
      subject: What it asks about.
      where: Where this report has evidence.
      missing: What this report does not show.
      has: Whether the results hold it.
    """

    article: str
    subject: str
    where: str
    missing: str
    has: Callable[[Results], bool]


def _named(*ends: str) -> Callable[[Results], bool]:
    return lambda results: any(m.name.endswith(ends) for m in results.measures)


_EVIDENCE = (
    _Evidence(
        "10(2)(f)",
        "examination for possible biases",
        "Gaps between groups, and what chance would give",
        "groups that nobody labelled; training data; the cause",
        _named("_p_value_holm", "_p_value_bh"),
    ),
    _Evidence(
        "10(2)(f)",
        "whether the pictures account for a gap",
        "Is it the group or the picture?",
        "covariates that were not measured; a cause",
        lambda results: "covariates" in results.arrays,
    ),
    _Evidence(
        "10(2)(g)",
        "measures to prevent and mitigate biases",
        "One system against another",
        "whether the measure is lawful: group labels are often special categories of data, 10(5)",
        _named("_change"),
    ),
    _Evidence(
        "10(2)(h), 10(3)",
        "gaps in the data; representative data",
        "How much the data can carry",
        "whether these people are those of the intended use",
        lambda results: "adequacy" in results.arrays,
    ),
    _Evidence(
        "11, Annex IV(2)(g)",
        "test procedures, metrics and logs",
        "How each number was made; Provenance; results.json",
        "date and signature of the responsible person",
        lambda results: True,
    ),
    _Evidence(
        "Annex IV(3), 13(3)(b)",
        "accuracy for specific persons or groups",
        "first screen; model_card.md",
        "uses and people that were not tested; the instructions for use themselves",
        lambda results: any(m.group for m in results.measures),
    ),
    _Evidence(
        "15(1), 15(3)",
        "levels of accuracy and their metrics",
        "first screen; measures.csv",
        "accuracy over the life cycle: measure again after each change",
        lambda results: True,
    ),
    _Evidence(
        "15(4)",
        "errors and faults",
        "Failures, and error rates with them",
        "other cameras, light and wear",
        _named("fta", "fte", "pair_failure"),
    ),
    _Evidence("15(5)", "cybersecurity", "nothing", "attacks of any kind", lambda results: False),
)


def section(results: Results) -> Section:
    """Both tables, folded."""
    lead = (
        "Terms are those of public abstracts, papers and NIST reports: check a clause in the "
        "standard before you cite it. Nothing here says that a system meets a standard or a law. "
        "Whether a system is high-risk under Regulation (EU) 2024/1689 is a question for a lawyer."
    )
    compared = any(m.across for m in results.measures)
    tables = [terms(results), evidence(results)] if compared else []
    return Section(
        "standards", "Words of the standards, and evidence", lead, tables=tables, folded=True
    )


def terms(results: Results) -> Table:
    """The measures of these results with the standards' terms for them."""
    there = {m.name for m in results.measures}
    rows = [[name, term, source] for name, term, source in _TERMS if name in there]
    return Table("Terms of the standards", ["name here", "term", "source"], rows)


def evidence(results: Results) -> Table:
    """What these results are evidence for under the EU AI Act, and what they are not."""
    rows = [
        [e.article, e.subject, e.where if e.has(results) else "not in this report", e.missing]
        for e in _EVIDENCE
    ]
    note = "Articles of Regulation (EU) 2024/1689. Evidence for an article is not conformity."
    columns = ["article", "evidence for", "in this report", "not shown here"]
    return Table("Evidence for the EU AI Act", columns, rows, note)
