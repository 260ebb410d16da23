"""`fairjax.audit(...)`: the audit from Python, for a script or a notebook.

Arguments are named as in scikit-learn and fairlearn where these have a name for them, and as the
flags of `fairjax audit` elsewhere. What is heavy is imported when it is used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairjax.audit.arguments import ArgumentColumns, as_sequence, pair_table, words_of
from fairjax.audit.finished import Audit

if TYPE_CHECKING:
    from fairjax.audit.layout import TableOptions
    from fairjax.audit.prediction_tables import PredictionColumns
    from fairjax.audit.tables import Source


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
      sensitive_features: The groups: one column, or [pairs, 2] for both sides, or a frame of both,
        as race1 and race2. Several (a list of names, a dict, a frame) are intersected, as in
        fairlearn. "age:18,30,45" puts a column of numbers into bins. Default: the column `group`.
      distance: In place of `y_score`, a column that falls with likeness; thresholds are distances.
      subject: Who is on each image, or on both sides [pairs, 2] or two names of columns. Intervals
        resample people.
      image: Which image a row is about, or the two images of a pair [pairs, 2], or two names.
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
      >>> audit = fairjax.audit(
      ...     y_true=[1, 0, 1, 0], y_pred=[1, 0, 0, 0], sensitive_features=["a", "a", "b", "b"]
      ... )
      >>> audit.measure("fnr", group="b").value
      1.0
    """
    from fairjax.audit.frames import as_source
    from fairjax.audit.layout import TableOptions
    from fairjax.audit.request import Request, measure
    from fairjax.audit.run import FMRS, Settings
    from fairjax.audit.tables import InputError

    if n_boot < 1 or random_state < 0 or not 0 < confidence_level < 1:
        raise InputError(
            f"n_boot={n_boot}, random_state={random_state}, confidence_level={confidence_level}: "
            "expected 1 or more resamples, a seed from 0 on and a share between 0 and 1."
        )
    columns = ArgumentColumns(data, embedding)
    scores = columns.scores(y_score, "score")
    distances = columns.scores(distance, "distance")
    options = TableOptions(
        scores=scores,
        distances=distances,
        mated=columns.name_of(y_true, "label"),
        subject=columns.name_of(subject, "subject"),
        image=columns.name_of(image, "image"),
        fold=columns.name_of(fold, "fold"),
        by=columns.attributes(sensitive_features),
        group_names=words_of(group_names),
        unknown_groups=unknown_groups,
        subjects_by_group=subjects_by_group,
        any_direction=any_direction,
        zero_is_same=zero_is_same,
        kind=kind,
        names_as_written=names_as_written,
        many_groups=many_groups,
        failures=failures,
        failure_scores=tuple(as_sequence(failure_score)),
        decision=columns.name_of(y_pred, "prediction"),
        accept=words_of(pos_label) or ("1", "true") if y_pred is not None else (),
        embedding=embedding,
        scorer=scorer,
    )
    sources = columns.sources()
    predictions = None
    of_embeddings = pairs is not None or all_pairs or sample_pairs or columns.vectors
    if not of_embeddings and not _are_pairs(sources[0], options, task):
        if distances or len(scores) > 1:
            raise InputError(
                "of one image a row there is one y_score, the probability of pos_label."
            )
        predictions = _label_columns(options, pos_label, labels, no_answer, regression)
        options = _without_pair_columns(options)
    elif labels or no_answer or regression:
        raise InputError("labels, no_answer and regression are for predictions of one image a row.")
    thresholds = tuple(map(float, as_sequence(threshold)))
    default = () if thresholds or options.decision else FMRS
    request = Request(
        files=sources,
        options=options,
        settings=Settings(
            fmrs=default if fmr is None else tuple(map(float, as_sequence(fmr))),
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
        pairs=pair_table(pairs),
        all_pairs=all_pairs,
        sample_pairs=sample_pairs,
        covariates=None if covariates is None else as_source(covariates, "the table of covariates"),
        hold=words_of(covariate),
        calibrate_on=None
        if calibrate_on is None
        else as_source(calibrate_on, "the calibration table"),
        stated=dict(stated or {}),
        command="fairjax.audit(...)",
    )
    ((_, results),) = measure(request)
    return Audit(results, title or (sources[0].name if isinstance(sources[0], Path) else "Audit"))


def _are_pairs(source: "Source", options: "TableOptions", task: str | None) -> bool:
    """Whether a row is a pair."""
    from fairjax.audit.foreign import adopt
    from fairjax.audit.layout import has_two_sides
    from fairjax.audit.tables import InputError, column_names

    if task not in (None, "verification", "attributes"):
        raise InputError(f"task={task!r}: expected 'verification', 'attributes' or None.")
    if task:
        return task == "verification"
    if has_two_sides(column_names(adopt(source)), options):
        return True
    return not options.mated and not options.decision


def _label_columns(
    options: "TableOptions",
    pos_label: Any,
    labels: Sequence[Any],
    no_answer: str | Sequence[str],
    regression: bool,
) -> "PredictionColumns":
    from fairjax.audit.prediction_tables import PredictionColumns
    from fairjax.audit.tables import InputError

    if not options.mated:
        raise InputError("y_true is missing: the true label of each image.")
    return PredictionColumns(
        label=options.mated,
        prediction=options.decision,
        probability=next(iter(options.scores), ""),
        positive=next(iter(words_of(pos_label)), ""),
        classes=words_of(labels),
        no_answer=words_of(no_answer),
        regression=regression,
    )


def _without_pair_columns(options: "TableOptions") -> "TableOptions":
    from dataclasses import replace

    return replace(options, scores=(), mated="", decision="", accept=())
