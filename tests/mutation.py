"""How many small faults in the code the tests notice: the mutation score of a room.

    pip install cosmic-ray coverage
    python tests/mutation.py losses metrics --sample 40 --seed 0

Cosmic Ray's operators (another comparison, another number, `not`, no decorator, ...) change one
place of a copy of the code at a time, and the tests run on it. A mutant is killed where a test
fails, an import fails, or the tests take several times their time. A mutant meets only the test
files of its room that execute its statement: first the file that mirrors its module, and if it
survives that, the others, the quickest first. `slow` and `exhaustive` tests are left out. With
`--mirror` a mutant meets the file that mirrors its module alone, and modules without one are left
out: a quick sample, whose score is at most that of all tests.

A mutant runs in a fork of a process that has imported the libraries, and programs that it does not
change come from JAX's compilation cache, so it costs no more than its tests. At most one mutant is
drawn from each place in the code; places in annotations, which change no result, are left out. The
draw depends on the seed and the text of each line, so that a change elsewhere in the code leaves
most of a sample as it is. Mutants that change no result stand in `mutation_equivalent.txt` and are
not run.
"""

import argparse
import ast
import contextlib
import functools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import Phase, settings

HOME = Path(__file__).parents[1]
LIBRARIES = ("jax", "optax", "flax.linen", "scipy.stats", "scipy.special", "pyarrow.parquet")
LIBRARIES += ("pytest", "beartype", "jaxtyping", "hypothesis", "ml_collections", "rich.console")
OPTIONS = ["-x", "-q", "-m", "not slow and not exhaustive", "-p", "no:cacheprovider"]
# Assertions of what is imported before the fork are not rewritten
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
# Every program is worth keeping, however quickly it compiles
CACHE = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
PHASES = [Phase.explicit, Phase.generate]  # an example that fails is enough, however long it is
GUARDS = ("strict=True", "kw_only=True")  # which change no result
EQUIVALENT = Path(__file__).with_name("mutation_equivalent.txt")
BITS = ("BitAnd", "BitOr", "BitXor", "LShift", "RShift")


class Mutant(NamedTuple):
    """One change of one place.

    Attributes:
      module: Path from the repository's root.
      line: Where it is, from 1.
      operator: Cosmic Ray's name of the change.
      occurrence: Which of the operator's places in the module it is.
      rank: Place in the order of the draw, at random in [0, 1).
    """

    module: str
    line: int
    operator: str
    occurrence: int
    rank: float


def mutants_of(module: str, seed: int) -> list[Mutant]:
    """One mutant for each place that an operator can change, drawn among its changes."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.plugins import get_operator, operator_names

    nodes, by_place = list(ast_nodes(get_ast_from_path(Path(module)))), {}
    for name in sorted(operator_names()):
        operator = get_operator(name)
        if operator.arguments() or _raises(name):
            continue
        occurrence = 0
        for node in nodes:
            for start, end in operator().mutation_positions(node):
                if not _is_inert(node):
                    change = (name.removeprefix("core/"), occurrence)
                    by_place.setdefault((start, end), []).append(change)
                occurrence += 1
    lines, seen, mutants = Path(module).read_text().splitlines(), Counter(), []
    for (start, _), changes in sorted(by_place.items()):
        text = lines[start[0] - 1]
        place = f"{module} {text.strip()} {start[1] - len(text) + len(text.lstrip())}"
        seen[place] += 1
        draw = random.Random(f"{seed} {place} {seen[place]}")
        mutants.append(Mutant(module, start[0], *draw.choice(changes), draw.random()))
    return mutants


def _raises(operator: str) -> bool:
    """Whether an operator makes bit operations of arithmetic: a TypeError, which any test sees."""
    _, _, change = operator.partition("ReplaceBinaryOperator_")
    old, _, new = change.partition("_")
    return new in BITS and old not in BITS


def _is_inert(node) -> bool:
    """Whether a node is the bare `*` of a signature, in an annotation, or one of GUARDS."""
    if node.type == "operator" and node.parent.type in ("parameters", "param"):
        return True
    if node.parent is not None and node.parent.get_code(include_prefix=False) in GUARDS:
        return True
    while node.parent is not None:
        parent = node.parent
        if (
            parent.type == "tfpdef"
            or (parent.type == "annassign" and node is parent.children[1])
            or (parent.type == "funcdef" and node is parent.annotation)
        ):
            return True
        node = parent
    return False


class TestFile(NamedTuple):
    """One test file, without a mutant.

    Attributes:
      path: Path from the repository's root.
      seconds: CPU seconds that its tests take.
      lines: Lines of each module that its tests execute, by the module's path.
    """

    path: str
    seconds: float
    lines: dict[str, set[int]]


def mirror_of(module: str) -> Path:
    """The test file that mirrors a module, which need not exist."""
    _, room, *between, name = Path(module).parts
    return Path("tests", room, *between, f"test_{name}")


@functools.cache
def measured(path: str) -> TestFile:
    """Runs a test file under coverage, once.

    Raises:
      SystemExit: If a test fails, with pytest's output.
    """
    outcome = run_tests(path, cpu_seconds=3600, cover=True)
    if not outcome.passed:
        raise SystemExit(f"{Path('pytest.log').read_text()}\n{path} fails without a mutant.")
    lines = json.loads(Path("lines.json").read_text())
    return TestFile(path, outcome.seconds, {module: set(ran) for module, ran in lines.items()})


def tests_of(mutant: Mutant, room: Path, *, mirror_only: bool) -> Iterator[TestFile]:
    """The test files that execute a mutant's statement: the module's mirror, then the quickest."""
    statement = set(_statement(Path(mutant.module).read_text(), mutant.line))
    mirror = mirror_of(mutant.module)
    paths = [mirror] if mirror.exists() else []
    yield from _executing(statement, mutant.module, paths)
    if not mirror_only:
        others = set(Path("tests", *room.parts[1:2]).rglob("test_*.py")) - {mirror}
        yield from _executing(statement, mutant.module, sorted(others))


def _executing(statement: set[int], module: str, paths: Sequence[Path]) -> list[TestFile]:
    files = [measured(str(path)) for path in paths]
    chosen = [file for file in files if statement & file.lines.get(module, set())]
    return sorted(chosen, key=lambda file: file.seconds)


def _statement(source: str, line: int) -> range:
    """Lines of the innermost statement around a line; of a `def`, `if` or `for` its head alone."""
    innermost = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):  # outer statements come before inner ones
        if isinstance(node, ast.stmt) and node.lineno <= line <= node.end_lineno:
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno
            innermost = range(node.lineno, max(last, node.lineno) + 1)
    return innermost if line in innermost else range(line, line + 1)


class Outcome(NamedTuple):
    """How a run of tests ended.

    Attributes:
      passed: Whether all tests passed.
      seconds: CPU seconds that they took.
      hung: Whether they were ended at a limit of time.
    """

    passed: bool
    seconds: float
    hung: bool


def run_tests(path: str, *, cpu_seconds: int, cover: bool = False) -> Outcome:
    """Runs a test file in a fork of this process.

    Args:
      path: The test file.
      cpu_seconds: Limit of the CPU time. A fork that reaches it, or waits for ten times as long,
        is killed with all that it started.
      cover: Whether executed lines are written to lines.json, and compiled files kept.
    """
    before, child = _children_seconds(), os.fork()
    if not child:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sink = os.open("pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1), os.dup2(sink, 2)
        sys.dont_write_bytecode = not cover
        code = 1
        try:
            with _coverage() if cover else contextlib.nullcontext():
                code = pytest.main([path, *OPTIONS])
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(0 if code in (0, 5) else 1)  # 5: there are no tests
    deadline, status = time.monotonic() + 10 * cpu_seconds, None
    try:
        while status is None:
            ended, code = os.waitpid(child, os.WNOHANG)
            if ended:
                status = code
            elif time.monotonic() > deadline:
                break
            else:
                time.sleep(0.02)
    finally:  # also of Ctrl-C
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if status is None:
            _, status = os.waitpid(child, 0)
    hung = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU)
    return Outcome(status == 0, _children_seconds() - before, hung)


@contextlib.contextmanager
def _coverage() -> Iterator[None]:
    """Writes the lines that are executed in `fairjax/` to lines.json."""
    from coverage import Coverage

    coverage = Coverage(data_file=None, include=["fairjax/*"])
    coverage.start()
    try:
        yield
    finally:
        coverage.stop()
        data = coverage.get_data()
        lines = {os.path.relpath(file): data.lines(file) for file in data.measured_files()}
        Path("lines.json").write_text(json.dumps(lines))


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def look_of(mutant: Mutant) -> tuple[str, str]:
    """A mutant's module as it is changed, and the line before and after."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source = Path(mutant.module).read_text()
    changed = mutate_code(source, get_operator(f"core/{mutant.operator}")(), mutant.occurrence)
    lines = zip(source.splitlines(), changed.splitlines(), strict=False)
    old, new = next(pair for pair in lines if pair[0] != pair[1])
    return changed, f"{old.strip()}  ->  {new.strip()}"


def fate_of(mutant: Mutant, changed: str, room: Path, *, mirror_only: bool) -> str:
    """What becomes of a mutant: "killed", "killed (hung)", "SURVIVED" or "SURVIVED (not executed)".

    Args:
      mutant: The change.
      changed: The module with the change.
      room: Folder or module in `fairjax/` that it is drawn from.
      mirror_only: Whether it meets only the tests that mirror its module.
    """
    path, stat, met = Path(mutant.module), os.stat(mutant.module), 0
    source = path.read_text()
    for file in tests_of(mutant, room, mirror_only=mirror_only):
        met += 1
        path.write_text(changed)
        os.utime(path, (0, time.time()))  # another time than that of the compiled file
        try:
            outcome = run_tests(file.path, cpu_seconds=round(10 + 3 * file.seconds))
        finally:
            path.write_text(source)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        if not outcome.passed:
            return "killed (hung)" if outcome.hung else "killed"
    return "SURVIVED" if met else "SURVIVED (not executed)"


def equivalent() -> dict[tuple[str, str], str]:
    """Why mutants that are known to change no result do not, by module and line."""
    known, module, look = {}, "", ""
    for line in EQUIVALENT.read_text().splitlines():
        if line.startswith("    "):
            known[module, look] = line.strip()
        elif line.startswith("fairjax/"):
            module, _, look = line.partition(": ")
    return known


def main() -> None:
    """Prints what became of every mutant, and the score of each room."""
    parser = argparse.ArgumentParser(description="Mutation score of rooms.")
    parser.add_argument("rooms", nargs="+", help="folders or files in fairjax/, such as losses")
    parser.add_argument("--sample", type=int, default=40, help="places a room at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mirror", action="store_true", help="only tests that mirror the module")
    parser.add_argument("--only", default="", help="only mutants whose printed line has this in it")
    parser.add_argument("--minutes", type=float, default=60, help="of CPU a room at most")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        files = subprocess.check_output(command, cwd=HOME, text=True).split("\n")
        for file in filter(None, files):
            target = Path(folder, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HOME / file, target)
        os.chdir(folder)
        os.environ.update(CACHE)
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{folder}/compiled")
        sys.path[0] = os.environ["PYTHONPATH"] = folder
        for library in LIBRARIES:
            __import__(library)
        settings.register_profile("mutants", phases=PHASES, database=None, derandomize=True)
        settings.load_profile("mutants")
        for room in flags.rooms:
            score(room, flags)


def score(room: str, flags: argparse.Namespace) -> None:
    """Runs a room's mutants and prints what came of them."""
    path, known = Path("fairjax", room), equivalent()
    modules = [path] if path.suffix else sorted(path.rglob("*.py"))
    if flags.mirror:
        modules = [module for module in modules if mirror_of(str(module)).exists()]
    mutants = [mutant for module in modules for mutant in mutants_of(str(module), flags.seed)]
    chosen = sorted(mutants, key=lambda mutant: mutant.rank)[: flags.sample]
    fates, begun = Counter(), _children_seconds()
    with contextlib.suppress(KeyboardInterrupt):  # the score so far is printed
        for mutant in chosen:
            changed, look = look_of(mutant)
            line = f"{mutant.module}:{mutant.line}: {look}"
            if flags.only not in line:
                continue
            if _children_seconds() - begun > 60 * flags.minutes:
                break
            if reason := known.get((mutant.module, look)):
                fate, line = "equivalent", f"{line}  ({reason})"
            else:
                fate = fate_of(mutant, changed, path, mirror_only=flags.mirror)
            fates[fate.split()[0]] += 1
            print(f"{fate}  {line}", flush=True)
    killed, survived, same = (fates[name] for name in ("killed", "SURVIVED", "equivalent"))
    minutes = (_children_seconds() - begun) / 60
    print(
        f"{room}: {fates.total()} of {len(mutants)} places tried: {killed} killed, {survived} "
        f"survived, {same} equivalent; score {killed / max(killed + survived, 1):.0%}; seed "
        f"{flags.seed}; {minutes:.0f} CPU minutes",
        flush=True,
    )


if __name__ == "__main__":
    main()
