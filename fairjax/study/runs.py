"""From a study to its runs: one config and one folder each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fairjax.config import ConfigError, leaves, validate, variant
from fairjax.config.study import Noise, Row, Study
from fairjax.data.dataset import DataError
from fairjax.run.workdir import read_json, settle_config, write_json


@dataclass(frozen=True)
class Run:
    """One training of a row.

    Attributes:
      name: Name of the run's folder inside the study's.
      row: The row's name.
      seed: The seed.
      folder: The run's folder.
      tree: The run's resolved config as plain values.
      needs: Names of the runs that must be finished first.
      noise: Folders of the run whose embeddings get noise and of the one whose accuracy is reached,
        where the run is such a control; None where it is trained.
    """

    name: str
    row: str
    seed: int
    folder: Path
    tree: Mapping[str, Any]
    needs: tuple[str, ...]
    noise: tuple[Path, Path] | None = None

    @property
    def done(self) -> bool:
        """Whether the run has its results and its page, the last file that a run writes."""
        return all((self.folder / name).exists() for name in ("results.json", "report.html"))

    @property
    def saves_features(self) -> bool:
        """Whether the run saves the features of the test images."""
        return bool(self.tree["method"].get("save_features", False))


def expand(config: ConfigDict, workdir: Path, *, overrides: Mapping[str, Any]) -> list[Run]:
    """All runs of a study, each after the runs that it needs: all rows of a seed, then the next.

    Args:
      config: Settings that the runs share, and the study itself in `config.study`.
      workdir: The study's folder.
      overrides: Keys set on the command line. They hold for every run that has the key, except
        where the row sets that key.

    Raises:
      ConfigError: If the study contradicts itself, or a run's config is impossible or saves no
        features where they are to be compared.
    """
    study: Study = config.study
    require_consistent(study)
    rows = {row.name: row for row in study.rows}
    runs = []
    for seed in study.seeds:
        for row in study.rows:
            if row.noise:
                trained = _run(config, rows[row.noise.of], seed, workdir, overrides)
                runs.append(_control(row, row.noise, trained, seed, workdir))
            else:
                runs.append(_run(config, row, seed, workdir, overrides))
    compared = {name for pair in study.similar for name in pair}
    for run in runs:
        if run.row in compared and not run.saves_features:
            raise ConfigError(
                f"study: features of row {run.row!r} are to be compared, but it saves none; set "
                "method.save_features=True in it, or leave it out of `similar`."
            )
    return runs


def require_consistent(study: Study) -> None:
    """Refuses a study that contradicts itself.

    Raises:
      ConfigError: Names the row, column or claim.
    """
    titles, before = {column.title for column in study.columns}, list[str]()
    texts = [claim.text for claim in study.claims]
    for row in study.rows:
        if folder_name(row.name, 0) in {folder_name(name, 0) for name in before}:
            raise ConfigError(f"study: two rows are called {row.name!r}; give them other names.")
        for known, wanted, what in (
            (before, row.needs.values(), "an earlier row"),
            (titles, row.published, "a column"),
        ):
            if strange := [name for name in wanted if name not in known]:
                raise ConfigError(f"study: row {row.name!r} names {strange[0]!r}, not {what}.")
        _require_trained_before(row, before, study)
        before.append(row.name)
    for name, numbers in study.cited.items():
        if strange := [title for title in numbers if title not in titles]:
            raise ConfigError(f"study: the cited {name!r} names {strange[0]!r}, not a column.")
    for claim in study.claims:
        for name, known in ((claim.row, before), (claim.than, before), (claim.column, titles)):
            if name not in known:
                raise ConfigError(f"study: the claim {claim.text!r} names {name!r}, which is none.")
        if texts.count(claim.text) > 1:
            raise ConfigError(f"study: two claims say {claim.text!r}; give them other words.")
        if not 0 <= claim.margin < float("inf"):
            raise ConfigError(
                f"study: the claim {claim.text!r} has margin={claim.margin}; it must be 0 or more."
            )
    if study.thesis:
        if not study.thesis.must_hold:
            raise ConfigError("study: the thesis has no claim that must hold; name one or more.")
        for text in (*study.thesis.must_hold, *study.thesis.must_not_fail):
            if text not in texts:
                raise ConfigError(f"study: the thesis names {text!r}, which is no claim.")
    for name in (*study.facts, *filter(None, [study.baseline])):
        if name not in before:
            raise ConfigError(f"study: costs and facts name {name!r}, which is no row.")
    if study.floor:
        floor = study.floor
        for name, known in ((floor.than, before), (floor.column, titles)):
            if name not in known:
                raise ConfigError(f"study: `floor` names {name!r}, which is none.")
        if not 0 <= floor.margin < float("inf"):
            raise ConfigError(f"study: `floor` has margin={floor.margin}; it must be 0 or more.")
    for column in study.columns:
        if column.over_others and len(column.group) != 1:
            raise ConfigError(
                f"study: column {column.title!r} is over the other groups; give it one group."
            )
    for title in study.trade_off or ():
        if title not in titles:
            raise ConfigError(f"study: `trade_off` names {title!r}, which is no column.")
    for pair in study.similar:
        for name in pair:
            if name not in before:
                raise ConfigError(f"study: `similar` names {name!r}, which is no row.")
    if not study.seeds:
        raise ConfigError("study: there must be a seed.")


def _require_trained_before(row: Row, before: Sequence[str], study: Study) -> None:
    """Refuses a control by rows that do not come first, or without a measure to be equal in.

    Raises:
      ConfigError: Names the row.
    """
    trained = {other.name for other in study.rows if not other.noise}
    noise = row.noise
    for name in (*([noise.of, noise.like] if noise else []), *filter(None, [row.control])):
        if name not in before or name not in trained:
            raise ConfigError(
                f"study: row {row.name!r} names {name!r}, which is no earlier row that is trained."
            )
    if noise and not study.floor:
        raise ConfigError(
            f"study: row {row.name!r} has noise, but no `floor` names the column of accuracy that "
            "it is to be equal in."
        )
    if noise and (row.changes or row.needs):
        raise ConfigError(f"study: row {row.name!r} is not trained; leave out changes and needs.")


def folder_name(row: str, seed: int) -> str:
    """Folder name of a run: "FPR penalty (paper)" with seed 0 -> "fpr-penalty-paper-seed0"."""
    return re.sub(r"[^a-z0-9.]+", "-", row.lower()).strip("-.") + f"-seed{seed}"


def chosen(runs: Sequence[Run], name: str) -> Run:
    """The run of this name.

    Raises:
      ConfigError: If there is none, and lists them; or if it is not trained.
    """
    for run in runs:
        if run.name == name and run.noise:
            raise ConfigError(
                f"--only={name!r} is not trained: the study's line without --only makes it."
            )
        if run.name == name:
            return run
    known = ", ".join(run.name for run in runs)
    raise ConfigError(f"--only={name!r} is no run of this study; its runs: {known}.")


def settle(runs: Sequence[Run]) -> None:
    """Checks that finished runs were made with today's configs.

    Raises:
      WorkdirError: Names the run's folder and each key that differs.
    """
    for run in runs:
        if (run.folder / "config.json").exists():
            _follow_moved_folder(run)
            settle_config(run.folder, run.tree)


def unusable_data(runs: Sequence[Run]) -> dict[str, str]:
    """Reads the data of all runs, each source once, before the first of them is trained.

    Returns:
      For each run that cannot be trained on its data the reason, by name.
    """
    from fairjax.run import prepare  # JAX, which the table of a finished study does without
    from fairjax.run.build import build_run

    sharing: dict[str, list[Run]] = {}
    for run in runs:
        sharing.setdefault(repr(run.tree["data"]), []).append(run)
    reasons: dict[str, str] = {}
    for some in sharing.values():
        try:
            first = build_run(some[0].tree)
            dataset = first.data.load(seed=first.seed)
        except (ConfigError, DataError, OSError) as error:
            reasons |= {run.name: str(error) for run in some}
            continue
        for run in some:
            try:
                settings = build_run(run.tree)
                prepare.check_data(settings, dataset)
            except (ConfigError, DataError) as error:
                reasons[run.name] = str(error)
    return reasons


def _follow_moved_folder(run: Run) -> None:
    """Writes a run's needs anew where they lie beside it as before, in a study that was moved."""
    kept = read_json(run.folder / "config.json")
    moved = False
    for key, new in leaves(run.tree):
        *sections, last = key.split(".")
        section = kept
        for name in sections:
            section = section.get(name, {}) if isinstance(section, dict) else {}
        old = section.get(last) if isinstance(section, dict) else None
        if not isinstance(new, str) or not isinstance(old, str) or new == old:
            continue
        if Path(new).name in run.needs and Path(new).name == Path(old).name:
            section[last], moved = new, True
    if moved:
        write_json(run.folder / "config.json", kept)


def _run(
    config: ConfigDict, row: Row, seed: int, workdir: Path, overrides: Mapping[str, Any]
) -> Run:
    name = folder_name(row.name, seed)
    needs = {key: folder_name(other, seed) for key, other in row.needs.items()}
    folders = {key: str(workdir / other) for key, other in needs.items()}
    try:
        own = variant(config, {**row.changes, "seed": seed, **folders}, overrides)
        validate(own)
    except ConfigError as error:
        raise ConfigError(f"study, row {row.name!r}: {error}") from None
    own.title = f"{row.name}, seed {seed}"
    return Run(name, row.name, seed, workdir / name, own.to_dict(), tuple(needs.values()))


def _control(row: Row, noise: Noise, trained: Run, seed: int, workdir: Path) -> Run:
    """A run that is not trained: another's, whose embeddings get noise."""
    tree = {**trained.tree, "title": f"{row.name}, seed {seed}"}
    name = folder_name(row.name, seed)
    needs = folder_name(noise.of, seed), folder_name(noise.like, seed)
    folders = workdir / needs[0], workdir / needs[1]
    return Run(name, row.name, seed, workdir / name, tree, needs, folders)
