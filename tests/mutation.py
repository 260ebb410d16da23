"""How many small faults in the code the tests notice: the mutation score of a room.

    pip install cosmic-ray coverage
    python tests/mutation.py losses metrics --sample 30 --seed 0

Cosmic Ray's operators (another comparison, another number, `not`, no decorator, ...) change one
place of a copy of the code at a time, and the tests run on it. A mutant is killed where a test
fails, an import fails, or the tests need three times their time. Each test file of the room runs
once under coverage; a mutant then meets only the files that execute its statement, the file that
mirrors its module first and the quickest of the others next. `slow` tests are left out. With
`--mirror` a mutant meets the file that mirrors its module alone, and modules without one are left
out: a quick sample, whose score is at most that of all tests.

A mutant runs in a fork of a process that has imported the libraries, and programs that it does not
change come from JAX's compilation cache, so it costs no more than its tests. At most one mutant is
drawn from each place in the code; places in annotations, which change no result, are left out.
"""

import argparse
import ast
import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

HOME = Path(__file__).parents[1]
LIBRARIES = ("jax", "optax", "flax.linen", "scipy.stats", "scipy.special", "pyarrow.parquet")
LIBRARIES += ("pytest", "beartype", "jaxtyping", "hypothesis", "ml_collections", "rich.console")
OPTIONS = ["-x", "-m", "not slow", "-p", "no:cacheprovider"]
# Assertions of what is imported before the fork are not rewritten
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
# Every program is worth keeping, however quickly it compiles
CACHE = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
GUARDS = ("strict=True", "kw_only=True")  # which change no result
BITS = ("BitAnd", "BitOr", "BitXor", "LShift", "RShift")


class Mutant(NamedTuple):
    """One change of one place.

    Attributes:
      module: Path from the repository's root.
      line: Where it is, from 1.
      operator: Cosmic Ray's name of the change.
      occurrence: Which of the operator's places in the module it is.
    """

    module: str
    line: int
    operator: str
    occurrence: int


def mutants_of(module: str, draw: random.Random) -> list[Mutant]:
    """One mutant for each place that an operator can change, drawn among its changes."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.plugins import get_operator, operator_names

    nodes, by_place = list(ast_nodes(get_ast_from_path(Path(module)))), {}
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments() or _raises(name):
            continue
        occurrence = 0
        for node in nodes:
            for start, end in operator().mutation_positions(node):
                if not _is_inert(node):
                    mutant = Mutant(module, start[0], name.removeprefix("core/"), occurrence)
                    by_place.setdefault((start, end), []).append(mutant)
                occurrence += 1
    return [draw.choice(by_place[place]) for place in sorted(by_place)]


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
    """One test file of a room, without a mutant.

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


def test_files(room: Path, paths: Iterable[Path]) -> list[TestFile]:
    """Runs test files of a room under coverage.

    Args:
      room: Folder or module in `fairjax/`.
      paths: The test files.

    Raises:
      SystemExit: If a test fails, with pytest's output.
    """
    files = []
    for path in map(str, sorted(paths)):
        passed, seconds = run_tests(path, cpu_seconds=3600, covered=room)
        if not passed:
            raise SystemExit(f"{Path('pytest.log').read_text()}\n{path} fails without a mutant.")
        lines = json.loads(Path("lines.json").read_text())
        files.append(TestFile(path, seconds, {module: set(ran) for module, ran in lines.items()}))
    return files


def tests_of(mutant: Mutant, files: Sequence[TestFile]) -> list[TestFile]:
    """The test files that execute a mutant's statement: the module's mirror, then the quickest."""
    mirror = str(mirror_of(mutant.module))
    statement = set(_statement(Path(mutant.module).read_text(), mutant.line))
    chosen = [file for file in files if statement & file.lines.get(mutant.module, set())]
    return sorted(chosen, key=lambda file: (file.path != mirror, file.seconds))


def _statement(source: str, line: int) -> range:
    """Lines of the innermost statement around a line; of a `def`, `if` or `for` its head alone."""
    innermost = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):  # outer statements come before inner ones
        if isinstance(node, ast.stmt) and node.lineno <= line <= node.end_lineno:
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno
            innermost = range(node.lineno, max(last, node.lineno) + 1)
    return innermost if line in innermost else range(line, line + 1)


def run_tests(path: str, *, cpu_seconds: int, covered: Path | None = None) -> tuple[bool, float]:
    """Runs a test file in a fork of this process.

    Args:
      path: The test file.
      cpu_seconds: Limit of the CPU time; a fork that reaches it is killed.
      covered: Folder whose executed lines are written to lines.json; its compiled files are kept.

    Returns:
      Whether the tests pass, and the seconds of CPU that they took.
    """
    before, child = _children_seconds(), os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        sink = os.open("pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1), os.dup2(sink, 2)
        sys.dont_write_bytecode = covered is None
        code = 1
        try:
            with _coverage(covered) if covered else contextlib.nullcontext():
                code = pytest.main([path, *OPTIONS])
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(0 if code in (0, 5) else 1)  # 5: there are no tests
    _, status = os.waitpid(child, 0)
    return status == 0, _children_seconds() - before


@contextlib.contextmanager
def _coverage(folder: Path) -> Iterator[None]:
    """Writes the lines that are executed in a folder's modules to lines.json."""
    from coverage import Coverage

    coverage = Coverage(data_file=None, include=[f"{folder}/*", str(folder)])
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


def killed(mutant: Mutant, files: Sequence[TestFile]) -> tuple[bool, str]:
    """Whether the tests notice a mutant, and what it looks like.

    Args:
      mutant: The change.
      files: Test files of the room; three times a file's seconds is taken for an endless loop.
    """
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    path, stat = Path(mutant.module), os.stat(mutant.module)
    source, tests = path.read_text(), tests_of(mutant, files)
    changed = mutate_code(source, get_operator(f"core/{mutant.operator}")(), mutant.occurrence)
    lines = zip(source.splitlines(), changed.splitlines(), strict=False)
    line, (old, new) = next((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
    path.write_text(changed)
    os.utime(path, (0, time.time()))  # another time than that of the compiled file
    try:
        passed = all(
            run_tests(file.path, cpu_seconds=round(10 + 3 * file.seconds))[0] for file in tests
        )
    finally:
        path.write_text(source)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    look = f"{mutant.module}:{line}: {old.strip()}  ->  {new.strip()}"
    return not passed, look if tests else f"{look}  (no test executes it)"


def main() -> None:
    """Prints what became of every mutant, and the score of each room."""
    parser = argparse.ArgumentParser(description="Mutation score of rooms.")
    parser.add_argument("rooms", nargs="+", help="folders or files in fairjax/, such as losses")
    parser.add_argument("--sample", type=int, default=30, help="mutants a room at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mirror", action="store_true", help="only tests that mirror the module")
    parser.add_argument("--minutes", type=float, default=30, help="of CPU a room at most")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = subprocess.check_output(["git", "ls-files"], cwd=HOME, text=True).split("\n")
        for file in filter(None, files):
            target = Path(folder, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HOME / file, target)
        os.chdir(folder)
        os.environ.update(CACHE, JAX_COMPILATION_CACHE_DIR=f"{folder}/compiled")
        sys.path[0] = os.environ["PYTHONPATH"] = folder
        for library in LIBRARIES:
            __import__(library)
        for room in flags.rooms:
            score(room, flags)


def score(room: str, flags: argparse.Namespace) -> None:
    """Runs a room's mutants and prints what came of them."""
    path = Path("fairjax", room)
    modules = [path] if path.suffix else sorted(path.rglob("*.py"))
    if flags.mirror:
        modules = [module for module in modules if mirror_of(str(module)).exists()]
    draw = random.Random(flags.seed)
    mutants = [m for module in modules for m in mutants_of(str(module), draw)]
    places, chosen = len(mutants), draw.sample(mutants, min(flags.sample, len(mutants)))
    tests = set(Path("tests", *path.parts[1:2]).rglob("test_*.py"))
    files = test_files(path, {mirror_of(m.module) for m in chosen} if flags.mirror else tests)
    deaths, runs, begun = 0, 0, _children_seconds()
    with contextlib.suppress(KeyboardInterrupt):  # the score so far is printed
        for mutant in chosen:
            if _children_seconds() - begun > 60 * flags.minutes:
                break
            dead, look = killed(mutant, files)
            deaths, runs = deaths + dead, runs + 1
            print(f"{'killed' if dead else 'SURVIVED'}  {look}", flush=True)
    minutes = (_children_seconds() - begun) / 60
    print(
        f"{room}: {deaths} of {runs} mutants killed ({deaths / max(runs, 1):.0%}); "
        f"{places} places; seed {flags.seed}; {minutes:.0f} CPU minutes",
        flush=True,
    )


if __name__ == "__main__":
    main()
