"""One audit as asked for, on the command line or from Python, and what is measured for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fairjax.audit import partial, run, streaming
from fairjax.audit.covariate_tables import Covariates, load_covariates, load_image_covariates
from fairjax.audit.covariates import with_covariates
from fairjax.audit.embedding_files import read_made
from fairjax.audit.embeddings import load_embeddings
from fairjax.audit.foreign import adopt, release_of
from fairjax.audit.layout import People, TableOptions
from fairjax.audit.loaded import Loaded
from fairjax.audit.paired import load_both
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.people import load_people
from fairjax.audit.prediction_tables import PredictionColumns
from fairjax.audit.predictions import audit_predictions
from fairjax.audit.tables import InMemory, Source, size
from fairjax.core.errors import UsageError
from fairjax.core.results import Results

_SEVERAL = (
    "several tables of scores: put the systems into columns of one table and name each with "
    "--score; if they are parts of one table, say --stream."
)
Watch = Callable[[str], AbstractContextManager[Any]]
_UNSTREAMED = (
    "covariates are held for tables that are read into memory: leave out --stream and --partial; "
    "of a table above 2 GiB, take a part."
)
# What `fairjax diff` compares, and where a file of `fairjax embed` says it.
_MADE = {
    "model": "model_hash",
    "preprocessing": "preprocessing",
    "alignment": "alignment",
    "flip": "flip",
}


@dataclass(frozen=True)
class Request:
    """One audit: its data and every choice.

    Attributes:
      files: Tables of scores or of predictions (one), or embeddings of one or several systems.
      options: How the tables are read.
      settings: What is measured.
      predictions: Columns of labels and predictions; None audits pairs.
      groups: Table of people or of images.
      groups_subject: Column of people in that table.
      groups_image: Column of images in that table.
      pairs: Table of the pairs of embeddings.
      all_pairs: Whether every pair of embeddings is compared.
      sample_pairs: Most pairs a group in a sample of the pairs of embeddings.
      calibrate_on: Table of scored pairs to find thresholds on.
      covariates: Table of covariates of images or of people.
      hold: Covariates that are held; empty takes every number of that table.
      stream: Whether the tables, parts of one, are read in passes.
      stated: What the user says of the system.
      command: Line that made the audit, for the provenance.
      dataset: Name of the data, where they are ours: "phantom".
    """

    files: Sequence[Source]
    options: TableOptions = field(default_factory=TableOptions)
    settings: run.Settings = field(default_factory=run.Settings)
    predictions: PredictionColumns | None = None
    groups: Source | None = None
    groups_subject: str = ""
    groups_image: str = ""
    pairs: Source | None = None
    all_pairs: bool = False
    sample_pairs: int | None = None
    calibrate_on: Source | None = None
    covariates: Source | None = None
    hold: Sequence[str] = ()
    stream: bool = False
    stated: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    dataset: str = ""

    @property
    def of_embeddings(self) -> bool:
        """Whether pairs of embeddings are asked for."""
        return bool(self.pairs is not None or self.all_pairs or self.sample_pairs)

    @property
    def streams(self) -> bool:
        """Whether the table is read in passes, as asked for or because it is large."""
        table = self.files[0]
        if isinstance(table, InMemory) or self.predictions:
            return self.stream
        is_large = table.suffix not in (".npz", ".npy") and size(table) > streaming.STREAM_BYTES
        return self.stream or is_large


def measure(
    request: Request, watch: Watch = lambda _: nullcontext()
) -> Iterator[tuple[str, Results]]:
    """Measures what is asked for, one attribute after the other.

    Args:
      request: The audit.
      watch: Called with a sentence on what is done next; what it returns is open meanwhile.

    Yields:
      The attribute as asked for ("race", "race+gender") and the results, with their provenance.

    Raises:
      InputError: If the data are unfit.
      UsageError: If choices do not go together.
    """
    facts = _facts(request)  # first: it refuses a file that is missing
    request = _adopted(request)
    if request.streams:
        _refuse_twice(request.files, facts)
    for by, results in _measured(request, watch):
        yield by, run.with_facts(results, facts, _left_out(request.files))


def write_partial(
    request: Request,
    folder: Path,
    *,
    keep: float | None = None,
    watch: Watch = lambda _: nullcontext(),
) -> partial.Written:
    """Writes the partial file of some of an audit's tables; `partial.merge` makes the audit of all.

    Args:
      request: The audit of these tables.
      folder: Folder of the partial file.
      keep: Share of the non-mated scores that are kept; None takes the default.
      watch: Called with a sentence on what is done next; what it returns is open meanwhile.

    Raises:
      InputError: If the data are unfit.
      UsageError: If choices do not go together.
    """
    if request.predictions:
        raise UsageError("--partial takes tables of scored pairs; leave out --label.")
    _refuse_unused(request)
    _check_stream(request)
    facts = _facts(request)
    request = _adopted(request)
    _refuse_twice(request.files, facts)
    with watch(f"Reading {streaming.shown([str(path) for path in request.files])} ..."):
        return partial.write(
            folder,
            request.files,
            request.options,
            request.settings,
            people=_people(request),
            facts=facts,
            keep=keep,
        )


def _adopted(request: Request) -> Request:
    """The request with the tables that files of other tools hold."""
    return replace(
        request,
        files=[adopt(path) for path in request.files],
        calibrate_on=None if request.calibrate_on is None else adopt(request.calibrate_on),
    )


def _refuse_twice(files: Sequence[Source], facts: Mapping[str, Any]) -> None:
    """Refuses the same table twice among the parts of one."""
    hashes = [facts["files"][f"file {k}"]["hash"] for k in range(1, len(files) + 1)]
    partial.refuse_twice(list(zip(map(str, files), hashes, strict=True)))


def _check_stream(request: Request) -> None:
    """Raises UsageError where the audit of a stream is asked for what a stream does not do."""
    if request.covariates is not None or request.hold:
        raise UsageError(_UNSTREAMED)
    if request.calibrate_on is not None or request.of_embeddings or request.settings.paired:
        raise UsageError(
            "a stream takes tables of scores of one system, and finds thresholds on them."
        )


def _refuse_unused(request: Request) -> None:
    """Raises UsageError for a choice that would be passed over without a word."""
    options, settings = request.options, request.settings
    if request.predictions:
        of_pairs = {
            "--score": options.scores,
            "--distance": options.distances,
            "--kind": options.kind,
            "--mated": options.mated,
            "--zero-is-same": options.zero_is_same,
            "--fold": options.fold,
            "--failures": options.failures,
            "--failure-score": options.failure_scores,
            "--decision": options.decision,
            "--accept": options.accept,
            "--subjects-by-group": options.subjects_by_group,
            "--embedding": options.embedding,
            "--scorer": options.scorer,
            "--pairs": request.pairs is not None,
            "--all-pairs": request.all_pairs,
            "--sample-pairs": request.sample_pairs,
            "--calibrate-on": request.calibrate_on is not None,
            "--fmr": settings.fmrs not in ((), run.FMRS),
            "--protocol": settings.protocol != "plain",
            "--tolerance": settings.tolerances,
            "--paired": settings.paired,
        }
        if settings.thresholds:
            raise UsageError(
                "--threshold is for scores of pairs; a probability predicts the positive label "
                "from 0.5 on. For another threshold name a column of decisions with --prediction."
            )
        if idle := [flag for flag, value in of_pairs.items() if value]:
            raise UsageError(f"{idle[0]} is for pairs; leave it out with --label.")
        return
    alone = (
        ("--groups-subject", request.groups_subject and request.groups is None, "--groups TABLE"),
        ("--groups-image", request.groups_image and request.groups is None, "--groups TABLE"),
        (
            "--embedding",
            options.embedding and not request.of_embeddings,
            "--pairs TABLE, --all-pairs or --sample-pairs N",
        ),
    )
    for flag, is_alone, needed in alone:
        if is_alone:
            raise UsageError(f"{flag} goes with {needed}.")


def _facts(request: Request) -> dict[str, Any]:
    """What the results say of where they come from."""
    files = {f"file {k}": path for k, path in enumerate(request.files, 1)}
    for role in ("groups", "pairs", "calibrate_on", "covariates"):
        if (path := getattr(request, role)) is not None:
            files[role] = path
    releases = dict.fromkeys(filter(None, map(release_of, request.files)))
    release = {"release": ", ".join(releases)} if releases else {}
    stated = {**_stated(request.files), **release, **request.stated}
    facts = run.provenance(files, request.command, stated)
    return {"dataset": request.dataset, **facts} if request.dataset else facts


def _made(path: Source) -> Mapping[str, Any]:
    """How `fairjax embed` made a file; {} for any other."""
    if not isinstance(path, Path) or path.suffix != ".npz" or not path.is_file():
        return {}
    return read_made(path)


def _left_out(files: Sequence[Source]) -> list[str]:
    """Sentences on images that `fairjax embed` could not read."""
    return [
        f"{path.name}: {lost:,} images could not be read and are left out, and with them "
        f"{made.get('pairs_left_out', 0):,} pairs of the benchmark."
        for path in files
        if (lost := (made := _made(path)).get("unreadable", 0))
    ]


def _stated(files: Sequence[Source]) -> dict[str, str]:
    """What files of `fairjax embed` say of the model and its input, for `fairjax diff`."""
    stated: dict[str, str] = {}
    for key, source in _MADE.items():
        values = {path.name: str(made[source]) for path in files if source in (made := _made(path))}
        if len(set(values.values())) == 1:
            stated[key] = next(iter(values.values()))
        elif values:
            stated[key] = "; ".join(f"{name}: {value}" for name, value in values.items())
    return stated


def _measured(request: Request, watch: Watch) -> Iterator[tuple[str, Results]]:
    _refuse_unused(request)
    holds = request.covariates is not None or bool(request.hold)
    if holds and request.streams and not request.predictions:
        raise UsageError(_UNSTREAMED)
    if request.predictions:
        yield from _predictions(request, request.predictions, watch)
    elif request.streams:
        _check_stream(request)
        if len(request.files) > 1 and not request.stream:  # they are large, not said to be parts
            raise UsageError(_SEVERAL)
        tables = streaming.shown([str(path) for path in request.files])
        with watch(f"Streaming {tables} in four passes ..."):
            by_attribute = streaming.measure(
                request.files, request.options, request.settings, people=_people(request)
            )
        yield from by_attribute.items()
    else:
        with watch("Reading ..."):
            loaded, calibration = _load(request)
        held = _covariates(request) if holds else None
        source = request.calibrate_on.name if request.calibrate_on is not None else ""
        for by, pairs in loaded.items():
            if by in calibration:
                shared = _people_of_both(pairs, calibration[by], source)
                pairs = replace(pairs, notes=(*pairs.notes, *shared))
            with watch(f"Measuring by {by} ..."):
                results = run.measure(
                    pairs,
                    request.settings,
                    calibration=calibration.get(by),
                    calibration_source=source,
                )
                if held:
                    results = with_covariates(results, pairs, held, level=request.settings.level)
            yield by, results


def _predictions(
    request: Request, columns: PredictionColumns, watch: Watch
) -> Iterator[tuple[str, Results]]:
    if len(request.files) > 1:
        raise UsageError("--label takes one table of predictions.")
    if request.groups is not None:
        raise UsageError("--groups is for pairs; put the groups into the table of predictions.")
    if request.stream:
        raise UsageError("--stream is for scores of pairs; leave it out with --label.")
    held = None
    if request.covariates is not None or request.hold:
        held = load_image_covariates(
            request.covariates,
            request.hold,
            predictions=request.files[0],
            options=request.options,
        )
    for by in request.options.by or ["group"]:
        with watch(f"Measuring by {by} ..."):
            results = audit_predictions(
                request.files[0],
                columns,
                request.options,
                by,
                resamples=request.settings.resamples,
                level=request.settings.level,
                seed=request.settings.seed,
                covariates=held,
            )
        yield by, results


def _people(request: Request) -> People | None:
    """The table of people or images."""
    if request.groups is None:
        return None
    return load_people(
        request.groups,
        subject=request.options.subject,
        image=request.options.image,
        own_subject=request.groups_subject,
        own_image=request.groups_image,
    )


def _covariates(request: Request) -> Covariates:
    return load_covariates(
        request.covariates,
        request.hold,
        pairs=request.files[0],
        options=request.options,
        people=_people(request),
    )


def _load(request: Request) -> tuple[Mapping[str, Loaded], Mapping[str, Loaded]]:
    """The pairs by attribute, and those to find thresholds on."""
    options, people = request.options, _people(request)
    first = request.files[0]
    if request.settings.paired and len(request.files) != 2:
        raise UsageError("--paired takes two files: before and after.")
    own = not request.of_embeddings and bool(_made(first).get("protocol"))
    if request.of_embeddings or own:
        names = [path.stem if isinstance(path, Path) else path.name for path in request.files]
        if len(set(names)) < len(names):
            raise UsageError(
                "two files of embeddings have the same name; systems are named after it."
            )
        loaded = load_embeddings(
            dict(zip(names, request.files, strict=True)),
            options,
            people=people,
            pairs=request.pairs,
            sample=request.sample_pairs,
            seed=request.settings.seed,
            own=own,
        )
    elif first.vectors if isinstance(first, InMemory) else first.suffix in (".npz", ".npy"):
        raise UsageError("embeddings need --pairs TABLE, --all-pairs or --sample-pairs N.")
    elif request.settings.paired:
        loaded = load_both(request.files, options, people=people)
    elif len(request.files) > 1:
        raise UsageError(_SEVERAL)
    elif options.scorer:
        raise UsageError("--scorer compares embeddings; for a table of scores say --kind.")
    else:
        loaded = load_comparisons(first, options, people=people)
    calibration = {}
    if request.calibrate_on is not None:
        files = (first, request.calibrate_on)
        if len({file.resolve() if isinstance(file, Path) else id(file) for file in files}) == 1:
            raise UsageError(
                f"--calibrate-on {first} is the audited table itself; without it thresholds are "
                "found on the audited pairs, and the results say so."
            )
        calibration = load_comparisons(request.calibrate_on, options, people=people)
    return loaded, calibration


def _people_of_both(pairs: Loaded, calibration: Loaded, name: str) -> list[str]:
    """How many audited people thresholds were found on, too."""
    both = set(pairs.names) & set(calibration.names)
    if not both:
        return []
    return [
        f"{len(both):,} of {len(pairs.names):,} people are in {name}, too: thresholds are found on "
        "people of their own, and fit others less well."
    ]
