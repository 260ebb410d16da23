"""`fairjax.audit(...)`: the audit from Python, for a script or a notebook.

Arguments are named as in scikit-learn and fairlearn where these have a name for them, and as the
flags of `fairjax audit` elsewhere. What is heavy is imported when it is used.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fairjax.audit.layout import Asked
    from fairjax.audit.predictions import Columns
    from fairjax.audit.tables import Source
    from fairjax.core.results import Measure, Results


def audit(
    data: Any = None,
    *,
    y_true: Any = None,
    y_pred: Any = None,
    y_score: Any = None,
    sensitive_features: Any = None,
    distance: Any = None,
    subject: Any = None,
    image: Any = None,
    fold: Any = None,
    task: str | None = None,
    pos_label: Any = None,
    labels: Sequence[Any] = (),
    groups: Any = None,
    groups_subject: str = "",
    groups_image: str = "",
    pairs: Any = None,
    all_pairs: bool = False,
    sample_pairs: int | None = None,
    embedding: str = "",
    scorer: str = "",
    covariates: Any = None,
    covariate: str | Sequence[str] = (),
    calibrate_on: Any = None,
    fmr: float | int | Sequence[float] | None = None,
    threshold: float | int | Sequence[float] = (),
    protocol: str = "plain",
    tolerance: Mapping[str, float] | None = None,
    kind: str = "",
    regression: bool = False,
    no_answer: str | Sequence[str] = (),
    failures: bool = False,
    failure_score: float | int | str | Sequence[float | int | str] = (),
    zero_is_same: bool = False,
    any_direction: bool = False,
    names_as_written: bool = False,
    subjects_by_group: bool = False,
    group_names: Sequence[str] = (),
    unknown_groups: bool = False,
    many_groups: bool = False,
    n_boot: int = 2000,
    confidence_level: float = 0.95,
    random_state: int = 0,
    title: str = "",
    stated: Mapping[str, str] | None = None,
) -> "Audit":
    """How a face system's errors differ between groups of people, and how sure that is.

    A row is a pair of images if its table says who or what is on both sides (subject1 and subject2,
    image1 and image2, group1 and group2, or an array [pairs, 2]); else a row is one image with a
    prediction, as in scikit-learn. The numbers are those of `fairjax audit` on the same data.

    An argument that names a column takes its name in `data`, or the column itself: an array, a
    list, a series. Without `data` all of them are arrays.

    Args:
      data: A path (.csv, .tsv, .parquet, .jsonl, .xlsx, .npz, .npy), a dict of arrays, a pandas or
        Polars frame, a pyarrow table, or embeddings [images, dim]; a list of paths are embeddings
        of several systems. None takes the arrays of the other arguments.
      y_true: The true label of each image; of pairs, whether both sides show one person (1 or 0).
      y_pred: The predicted label; of pairs, the decision, and `pos_label` accepts a pair.
      y_score: Probability of `pos_label` in [0, 1]; of pairs, a score that grows with likeness. For
        several systems a list of columns, or a dict or frame of them.
      sensitive_features: The groups: one column, or [pairs, 2] for both sides. Several (a list of
        names, a dict, a frame) are intersected, as in fairlearn. "age:18,30,45" puts a column of
        numbers into bins. Default: the column `group`.
      distance: In place of `y_score`, a column that falls with likeness; thresholds are distances.
      subject: Who is on each image, or on both sides [pairs, 2]. Intervals resample people.
      image: Which image a row is about, or the two images of a pair [pairs, 2].
      fold: Fold of the benchmark that a pair belongs to.
      task: "verification" takes rows for pairs, "attributes" for images; None looks at the columns.
      pos_label: The label that counts as positive. Default: 1, true or yes.
      labels: All labels in order, where some never occur.
      groups: A table of people or of images with their groups, if `data` has none.
      groups_subject: Column of people in `groups`.
      groups_image: Column of images in `groups`.
      pairs: Which embeddings to compare: a table with image1 and image2, or an array of their names
        [pairs, 2]; images without names are numbered from 0.
      all_pairs: Compare every pair of embeddings.
      sample_pairs: Compare at most so many mated and non-mated pairs a group.
      embedding: What columns of an embedding's dimensions begin with, where several are numbered.
      scorer: How embeddings are compared: "cosine" or "mls"; "" is "mls" where all have variances.
      covariates: A table with a row an image (or a person) and its covariates, such as brightness:
        is a gap that of the group or of the picture?
      covariate: Covariates to hold; without `covariates`, columns of `groups`, of both sides of
        pairs in `data`, or of images in `data`. Default: every column of numbers of `covariates`.
      calibrate_on: A table of other scored pairs to find thresholds on.
      fmr: False match rates in (0, 1) whose thresholds are taken. Default: 1e-3 and 1e-4, or none
        where `threshold` or decisions are given.
      threshold: Given thresholds in the scores' unit.
      protocol: "plain", "rfw", "bfw" or "lfw": adds the accuracies of that benchmark.
      tolerance: The gap that is accepted, by the measure's name: {"fmr_max_over_min": 2}.
      kind: What scores are: "cosine", "l2", "squared_l2", "cosine_distance", "percent",
        "probability", "probability_not_same" (a distance) or "other".
      regression: Whether `y_true` and `y_pred` are numbers, such as ages.
      no_answer: Predictions that are none, such as "no face".
      failures: Whether a missing score is a failure to acquire.
      failure_score: Scores that stand for such a failure.
      zero_is_same: Whether 0 in `y_true` marks one person.
      any_direction: Accept scores that run against their kind.
      names_as_written: Keep people apart whose names differ by case, blanks or accents alone.
      subjects_by_group: Whether a subject's name is one within its group only, as in RFW.
      group_names: The groups in order; any other is refused.
      unknown_groups: Keep rows without a group, among everyone only.
      many_groups: Whether more than 20 groups are meant.
      n_boot: Resamples of people behind the intervals.
      confidence_level: Coverage of intervals, in (0, 1).
      random_state: Seed of all draws, an integer from 0 on.
      title: The report's heading.
      stated: Facts that are kept with the results: {"model": "r50", "flip": "yes"}.

    Returns:
      The audit. Its numbers come from `measure` and `table`, its page from `report`.

    Raises:
      ValueError: `fairjax.audit.tables.InputError`, if the data or a choice is unfit. One line says
        what and where; a flag that it names (--zero-is-same) is the argument of that name.

    Example:
      >>> import fairjax
      >>> found = fairjax.audit(
      ...     y_true=[1, 0, 1, 0], y_pred=[1, 0, 0, 0], sensitive_features=["a", "a", "b", "b"]
      ... )
      >>> found.measure("fnr", group="b").value
      1.0
    """
    from fairjax.audit.frames import as_source
    from fairjax.audit.layout import Asked
    from fairjax.audit.request import Request, measure
    from fairjax.audit.run import FMRS, Settings
    from fairjax.audit.tables import InputError

    if n_boot < 1 or random_state < 0 or not 0 < confidence_level < 1:
        raise InputError(
            f"n_boot={n_boot}, random_state={random_state}, confidence_level={confidence_level}: "
            "expected 1 or more resamples, a seed from 0 on and a share between 0 and 1."
        )
    columns = _Columns(data, embedding)
    is_one_score = distance is None and not isinstance(y_score, Mapping | list)
    scores = columns.scores(y_score, "score")
    distances = columns.scores(distance, "distance")
    asked = Asked(
        scores=scores,
        distances=distances,
        mated=columns.one(y_true, "label"),
        subject=columns.one(subject, "subject"),
        image=columns.one(image, "image"),
        fold=columns.one(fold, "fold"),
        by=columns.attributes(sensitive_features),
        group_names=_words(group_names),
        unknown_groups=unknown_groups,
        subjects_by_group=subjects_by_group,
        any_direction=any_direction,
        zero_is_same=zero_is_same,
        kind=kind,
        names_as_written=names_as_written,
        many_groups=many_groups,
        failures=failures,
        failure_scores=tuple(_several(failure_score)),
        decision=columns.one(y_pred, "prediction"),
        accept=_words(pos_label) or (("1", "true") if y_pred is not None else ()),
        embedding=embedding,
        scorer=scorer,
    )
    sources = columns.sources()
    predictions = None
    of_embeddings = pairs is not None or all_pairs or sample_pairs or columns.vectors
    if not of_embeddings and not _are_pairs(sources[0], asked, task):
        if not is_one_score:
            raise InputError(
                "of one image a row there is one y_score, the probability of pos_label."
            )
        predictions = _label_columns(asked, pos_label, labels, no_answer, regression)
        asked = _without_pair_columns(asked)
    thresholds = tuple(map(float, _several(threshold)))
    default = () if thresholds or asked.decision else FMRS
    request = Request(
        files=sources,
        asked=asked,
        settings=Settings(
            fmrs=default if fmr is None else tuple(map(float, _several(fmr))),
            thresholds=thresholds,
            protocol=protocol,
            tolerances=dict(tolerance or {}),
            resamples=int(n_boot),
            level=float(confidence_level),
            seed=int(random_state),
        ),
        predictions=predictions,
        groups=None if groups is None else as_source(groups, "the table of groups"),
        groups_subject=groups_subject,
        groups_image=groups_image,
        pairs=_pair_list(pairs),
        all_pairs=all_pairs,
        sample_pairs=sample_pairs,
        covariates=None if covariates is None else as_source(covariates, "the table of covariates"),
        hold=_words(covariate),
        calibrate_on=None
        if calibrate_on is None
        else as_source(calibrate_on, "the calibration table"),
        stated=dict(stated or {}),
        command="fairjax.audit(...)",
    )
    ((_, results),) = measure(request)
    return Audit(results, title or (sources[0].name if isinstance(sources[0], Path) else "Audit"))


@dataclass(frozen=True, repr=False)
class Audit:
    """What an audit found.

    Attributes:
      results: Every number with its provenance, as in results.json.
      title: Heading of the report.
    """

    results: "Results"
    title: str = "Audit"

    @property
    def verdict(self) -> str:
        """The verdict in a few words, as the report's first screen says it."""
        from fairjax.report.summary import summarise

        found = summarise(self.results)
        return found.headline or found.scope

    def __str__(self) -> str:
        from fairjax.report.summary import summarise

        found = summarise(self.results)
        return "\n".join([*(found.text or [found.scope]), *found.tolerances])

    __repr__ = __str__

    def measure(
        self,
        name: str,
        *,
        group: str | Sequence[str] | Mapping[str, str] | None = None,
        at: str | None = None,
        system: str | None = None,
    ) -> "Measure":
        """One number with its interval, count and rule.

        Args:
          name: Name of the measure: "fmr", "fnmr", "fmr_max_over_min"; of an attribute model with
            or without the label in front: "gender_fpr" or "fpr".
          group: A group's name; two names for pairs of two groups; None is everyone, or the gap
            over all groups.
          at: Operating point, "FMR 1e-3"; None is the first one that has the number.
          system: Name of one of several systems; None where there is one.

        Raises:
          KeyError: If there is no such number, naming what there is.
        """
        prefix = str(self.results.protocol.get("attribute", ""))
        names = [name, f"{prefix}_{name}"]
        found = [m for m in self.results.measures if m.name in names]
        if not found:
            known = list(dict.fromkeys(m.name for m in self.results.measures))
            short = [word.removeprefix(f"{prefix}_") for word in known]
            close = difflib.get_close_matches(name, dict.fromkeys([*known, *short]), 3)
            more = f" and {len(known) - 10} more, see .table()" if len(known) > 10 else ""
            hint = (
                f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else f"there is {known[:10]}{more}."
            )
            raise KeyError(f"no measure {name!r}; {hint}")
        for what, wanted, one in (("system", system, "system"), ("point", at, "at")):
            have = list(dict.fromkeys(getattr(m, one) for m in found))
            if wanted is None and what == "system" and len(have) > 1:
                raise KeyError(
                    f"{name!r} is there of {len(have)} systems; say system= one of {have}."
                )
            if wanted is not None and wanted not in have:
                raise KeyError(f"no {name!r} with {one}={wanted!r}; there is {have}.")
            found = [m for m in found if wanted in (None, getattr(m, one))]
        matching = [m for m in found if _is_about(m, group)]
        if not matching:
            about = list(dict.fromkeys(" and ".join(m.group.values()) or "everyone" for m in found))
            raise KeyError(f"no {name!r} of group {group!r}; there is {about}.")
        return matching[0]

    def table(self, name: str = "") -> Any:
        """Every number, one row each, with the columns of measures.csv.

        Args:
          name: Keeps the rows of one measure, named as for `measure`; "" keeps all.

        Returns:
          A pandas DataFrame, or a list of dicts where pandas is not installed.
        """
        from fairjax.report.csv_tables import measure_rows

        prefix = str(self.results.protocol.get("attribute", ""))
        header, *lines = measure_rows(self.results)
        rows = [dict(zip(header, line, strict=True)) for line in lines]
        if name:
            rows = [row for row in rows if row["name"] in (name, f"{prefix}_{name}")]
        try:
            import pandas
        except ModuleNotFoundError:
            return rows
        return pandas.DataFrame(rows, columns=header)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report.

        Args:
          path: An .html file; or a folder, which gets all that `fairjax audit --out` writes:
            results.json, report.html, model_card.md and every table as CSV.

        Returns:
          The path of the page.
        """
        from fairjax.audit import outputs
        from fairjax.report import write_report

        path = Path(path)
        if path.suffix.lower() in (".html", ".htm"):
            path.parent.mkdir(parents=True, exist_ok=True)
            tables = outputs.tables(self.results)
            write_report(path, title=self.title, results=self.results, tables=tables)
            return path
        outputs.write(path, self.results, title=self.title)
        return path / "report.html"

    def plot_rates(
        self,
        name: str = "",
        *,
        at: str | None = None,
        system: str | None = None,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """One number of every group with its interval.

        Args:
          name: Name of the measure; "" is "fmr" for pairs, and the share of images told right (or
            the mean error) for an attribute model.
          at: Operating point; None is the first one.
          system: Name of one of several systems.
          ax: Axes to draw on; None makes a figure.

        Raises:
          KeyError: If no group has the number.
        """
        from fairjax.report.axes import draw_rates

        if not name:
            name = "fmr" if self.results.kind == "verification" else self._first_of_groups()
        everyone = self.measure(name, at=at, system=system)
        groups = [
            m
            for m in self.results.measures
            if (m.name, m.at, m.system, m.across)
            == (everyone.name, everyone.at, everyone.system, "")
            and len(m.group) == 1
        ]
        return draw_rates(groups, everyone, ax)

    def plot_det(self, *, system: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """False non-match rate against false match rate of every group, both on a probit scale.

        Args:
          system: Name of one of several systems.
          ax: Axes to draw on; None makes a figure.

        Raises:
          KeyError: If the results hold no such curves, as those of decisions or predictions.
        """
        from fairjax.report.axes import draw_det

        return draw_det(self._array("det", system)["groups"], ax)

    def plot_scores(
        self, *, group: str | None = None, system: str | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Histograms of mated and of non-mated scores, of everyone or of one group.

        Args:
          group: A group's name; None is everyone within their own groups.
          system: Name of one of several systems.
          ax: Axes to draw on; None makes a figure.

        Raises:
          KeyError: If there are no scores, or no such group.
        """
        from fairjax.report.axes import draw_scores

        bins = self._array("histograms", system)
        if group is not None and group not in bins["mated"]:
            raise KeyError(f"no scores of group {group!r}; there is {list(bins['mated'])}.")
        return draw_scores(bins, group, ax)

    def plot_calibration(self, *, ax: "Axes | None" = None) -> "Axes":
        """How often predictions are right against how sure they are, for every group.

        Args:
          ax: Axes to draw on; None makes a figure.

        Raises:
          KeyError: If the predictions have no probabilities.
        """
        from fairjax.report.axes import draw_calibration

        return draw_calibration(next(iter(self._array("calibration", None).values())), ax)

    def _repr_html_(self) -> str:
        """The verdict and a bar for each group, for a notebook."""
        from fairjax.report.notebook import notebook_html

        return notebook_html(self.results, self.title)

    def _first_of_groups(self) -> str:
        """The first measure that groups have."""
        return next(m.name for m in self.results.measures if m.group and not m.across)

    def _array(self, name: str, system: str | None) -> Any:
        """Plot data of one system."""
        systems = self.results.arrays.get("systems") or {"": self.results.arrays}
        if system is None and len(systems) > 1:
            raise KeyError(f"there are {len(systems)} systems; say system= one of {list(systems)}.")
        one = systems.get(next(iter(systems)) if system is None else system)
        if one is None:
            raise KeyError(f"no system {system!r}; there is {list(systems)}.")
        if not one.get(name):
            raise KeyError(f"these results hold no {name}; they have {[k for k in one if one[k]]}.")
        return one[name]


class _Columns:
    """Collects the columns that arguments name or bring.

    Args:
      data: The table, or None.
      embedding: What the columns of an embedding's dimensions begin with.
    """

    def __init__(self, data: Any, embedding: str) -> None:
        from fairjax.audit.frames import as_source

        several = isinstance(data, list | tuple) and all(isinstance(d, str | Path) for d in data)
        self._sources: list[Source] = []
        if several and data:
            self._sources = [as_source(one) for one in data]
        elif data is not None:
            self._sources = [as_source(data)]
        self._has_table = data is not None
        self._added: dict[str, Any] = {}

    @property
    def vectors(self) -> bool:
        """Whether the table is one of embeddings."""
        from fairjax.audit.foreign import adopt

        if not self._sources:
            return False
        first = adopt(self._sources[0])
        return first.suffix in (".npz", ".npy") if isinstance(first, Path) else bool(first.vectors)

    def one(self, value: Any, default: str) -> str:
        """The name of a column, which is added if it is brought; "" for None."""
        from fairjax.audit.frames import two_sides

        if value is None:
            return ""
        if isinstance(value, str):
            return value
        both = None if default in ("label", "fold", "prediction", "score") else two_sides(value)
        if both:
            self._add({f"{default}1": both[0], f"{default}2": both[1]})
            return default
        own = getattr(value, "name", None)
        name = str(own) if own not in (None, "") and not self.vectors else default
        name = default if name in self._added else name  # predictions named like the labels
        self._add({name: value})
        return "" if self.vectors else name  # a table of embeddings is read by customary names

    def scores(self, value: Any, default: str) -> tuple[str, ...]:
        """The names of one or several columns of scores."""
        from fairjax.audit.frames import named_columns
        from fairjax.audit.tables import InputError

        if value is None:
            return ()
        if self._is_names(value):
            return tuple(value)
        if (columns := named_columns(value)) is not None:
            self._add(columns)
            return tuple(columns)
        shape = getattr(value, "shape", (0,))
        if len(shape) > 1:
            raise InputError(
                f"y_score has shape {tuple(shape)}; give one score a row, such as "
                "predict_proba(X)[:, 1], or a dict or frame of several systems."
            )
        return (self.one(value, default),)

    def attributes(self, value: Any) -> tuple[str, ...]:
        """The attribute, as `--by` takes it."""
        from fairjax.audit.frames import named_columns, two_sides

        if value is None:
            return ()
        if self._is_names(value):
            return ("+".join(value),)
        if isinstance(value, str):
            return (value,)
        if (columns := named_columns(value)) is None:
            own = getattr(value, "name", None)
            columns = {str(own) if own not in (None, "") else "group": value}
        for name, column in columns.items():
            both = two_sides(column)
            self._add({f"{name}1": both[0], f"{name}2": both[1]} if both else {name: column})
        return ("+".join(columns),)

    def sources(self) -> list["Source"]:
        """The tables, with the columns that were brought."""
        import pyarrow as pa

        from fairjax.audit.frames import with_columns
        from fairjax.audit.tables import InMemory, InputError

        sources = list(self._sources)
        if not sources:
            if not self._added:
                raise InputError("nothing to audit: give a table, or y_true and y_pred or y_score.")
            sources = [InMemory(pa.table({}))]
        first = sources[0]
        if self._added and not isinstance(first, InMemory):
            raise InputError(
                f"{first} is a file and {next(iter(self._added))!r} an array; read the file into a "
                "frame first, or name a column of it."
            )
        if isinstance(first, InMemory):
            first = with_columns(first, self._added)
            sources[0] = _with_row_numbers(first) if first.vectors else first
        return sources

    def _add(self, columns: Mapping[str, Any]) -> None:
        """Takes columns; two arguments may bring one name only if they bring the same values."""
        from fairjax.audit.frames import same_values
        from fairjax.audit.tables import InputError

        for name, column in columns.items():
            if name in self._added and not same_values(self._added[name], column):
                raise InputError(
                    f"two arguments bring a column named {name!r} with other values; rename one of "
                    "the series."
                )
            self._added[name] = column

    def _is_names(self, value: Any) -> bool:
        """Whether a value is a list of names of columns, and not a column of words."""
        return (
            self._has_table
            and isinstance(value, list | tuple)
            and all(isinstance(word, str) for word in value)
        )


def _with_row_numbers(source: Any) -> Any:
    """Embeddings whose images have no name, named by their row from 0 on."""
    from fairjax.audit.frames import with_columns
    from fairjax.audit.layout import IMAGES

    customary = (*IMAGES, "name", "id")
    if any(name.lower().removesuffix("s") in customary for name in source.table.column_names):
        return source
    rows = len(next(iter(source.vectors.values())))
    return with_columns(source, {"image": list(map(str, range(rows)))})


def _are_pairs(source: "Source", asked: "Asked", task: str | None) -> bool:
    """Whether a row is a pair."""
    from fairjax.audit.foreign import adopt
    from fairjax.audit.layout import has_two_sides
    from fairjax.audit.tables import InputError, column_names

    if task not in (None, "verification", "attributes"):
        raise InputError(f"task={task!r}: expected 'verification', 'attributes' or None.")
    if task:
        return task == "verification"
    if has_two_sides(column_names(adopt(source)), asked):
        return True
    return not asked.mated and not asked.decision


def _label_columns(
    asked: "Asked",
    pos_label: Any,
    labels: Sequence[Any],
    no_answer: str | Sequence[str],
    regression: bool,
) -> "Columns":
    from fairjax.audit.predictions import Columns
    from fairjax.audit.tables import InputError

    if not asked.mated:
        raise InputError("y_true is missing: the true label of each image.")
    return Columns(
        label=asked.mated,
        prediction=asked.decision,
        probability=next(iter(asked.scores), ""),
        positive=next(iter(_words(pos_label)), ""),
        classes=_words(labels),
        no_answer=_words(no_answer),
        regression=regression,
    )


def _without_pair_columns(asked: "Asked") -> "Asked":
    from dataclasses import replace

    return replace(asked, scores=(), mated="", decision="", accept=())


def _pair_list(pairs: Any) -> Any:
    """A table of pairs of images, of an array [pairs, 2] too."""
    from fairjax.audit.frames import as_source, two_sides

    if pairs is None:
        return None
    named = isinstance(pairs, str | os.PathLike | Mapping) or hasattr(pairs, "columns")
    both = None if named else two_sides(pairs)
    return as_source(
        {"image1": both[0], "image2": both[1]} if both else pairs, "the table of pairs"
    )


def _words(value: Any) -> tuple[str, ...]:
    """A label as a table of text spells it: 1 and 1.0 are "1", True is "true"."""
    if value is None:
        return ()
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        return tuple(word for one in value for word in _words(one))
    text = str(value)
    if text in ("True", "False"):
        return (text.lower(),)
    return (text.removesuffix(".0"),) if not isinstance(value, str) else (text,)


def _several(value: Any) -> Sequence[Any]:
    """One number or several, as several."""
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value


def _is_about(m: "Measure", group: str | Sequence[str] | Mapping[str, str] | None) -> bool:
    """Whether a measure is of this group; of everyone or of a gap for None."""
    if group is None:
        return bool(m.across) or not m.group
    if isinstance(group, Mapping):
        return dict(m.group) == dict(group)
    names = [group] if isinstance(group, str) else list(group)
    return not m.across and sorted(m.group.values()) == sorted(map(str, names))
