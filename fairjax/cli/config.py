"""`fairjax config`: what a config does, its arguments, and every key with its value."""

import argparse
import ast
from pathlib import Path
from typing import Any

from fairjax.cli import answers


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    config = verbs.add_parser(
        "config",
        help="list the configs, or show the arguments and keys of one",
        description="Without FILE, lists the configs that FairJAX ships. With FILE, prints what "
        "the config is for, the arguments that may follow its name after a colon, and every key "
        "with its value and meaning. To change a key, put --config.KEY=VALUE behind "
        "`python -m fairjax.main`.",
        epilog="Examples: fairjax config; fairjax config quickstart; "
        "fairjax config configs/utkface/resnet50.py:small,seed=3",
    )
    config.add_argument(
        "file",
        metavar="FILE[:ARG]",
        nargs="?",
        default="",
        help="a Python file, or the name of a shipped config",
    )
    config.set_defaults(run=_config)


def _config(arguments: argparse.Namespace) -> None:
    console = answers.console()
    if not console.is_terminal:
        console.width = 120
    if arguments.file:
        _show(arguments.file, console)
    else:
        _list(console)


def _list(console: Any) -> None:
    """The shipped configs, each with the first line of its file."""
    from fairjax.config import shipped

    for path in sorted(shipped().rglob("*.py")):
        name = path.relative_to(shipped()).with_suffix("").as_posix()
        console.print(f"{name:<26}{_docstring(path).partition(chr(10))[0]}", soft_wrap=True)


def _show(file_and_arg: str, console: Any) -> None:
    from rich.table import Table

    from fairjax.config import describe, find_file, keys, leaf, load, split_argument

    config = load(file_and_arg)
    path = Path(split_argument(find_file(file_and_arg))[0])
    console.print(f"{path}\n\n{_docstring(path)}\n", soft_wrap=True)
    console.print(f"After a colon. {_docstring(path, 'get_config')}\n", soft_wrap=True)
    if "study" in config:
        plan = config.study
        names = ", ".join(row.name for row in plan.rows)
        console.print(f"A study of {len(plan.rows)} rows: {names}.", soft_wrap=True)
        console.print(f"Seeds: {', '.join(map(str, plan.seeds))}. Every row begins with:\n")
    meanings = describe(config)
    table = Table("key", "value", "meaning", box=None, pad_edge=False, header_style="bold")
    for key in keys(config):
        if key != "study":
            table.add_row(key, repr(leaf(config, key)), meanings.get(key, ""))
    table.columns[0].no_wrap = True
    console.print(table)
    console.print("\nChange a key with --config.KEY=VALUE.", soft_wrap=True)


def _docstring(path: Path, function: str = "") -> str:
    """The docstring of a config file, or of a function in it, as plain text."""
    tree: Any = ast.parse(path.read_text(encoding="utf-8"))
    if function:
        tree = next((node for node in tree.body if getattr(node, "name", "") == function), None)
    return (tree and ast.get_docstring(tree)) or "It says nothing about itself."
