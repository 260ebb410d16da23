"""Pickles of encoded images, read by an interpreter of our own that knows no other values.

A pickle is a program for a machine with a stack. This machine has the few instructions that
InsightFace's `.bin` files need, and no instruction that imports, calls or sets the state of
anything of Python or numpy. Where a pickle names a function, a word of our own stands for it; the
seven words below are all there are. What comes out is lists, truth values, bytes and arrays of
uint8 or bool, which together take no more memory than a small multiple of the file.

Source of the instructions: CPython, Lib/pickletools.py.
"""

import codecs
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fairjax.data.dataset import DataError


@dataclass(frozen=True)
class _Word:
    """What stands for a function or a type that a pickle names."""

    name: str


@dataclass(frozen=True)
class _Type:
    """A type of numbers: "u1" or "b1"."""

    name: str


@dataclass
class _Pending:
    """An array whose shape and content follow; `memo` has its places in the memo."""

    memo: list[int] = field(default_factory=list)


class _Mark:
    """Where a group of values begins on the stack."""


_MARK = _Mark()
_WORDS = {
    ("_codecs", "encode"): _Word("encode"),
    ("builtins", "bytearray"): _Word("bytes"),
    ("builtins", "bytes"): _Word("bytes"),
    ("numpy", "dtype"): _Word("dtype"),
    ("numpy", "ndarray"): _Word("ndarray"),
    ("numpy._core.multiarray", "_reconstruct"): _Word("reconstruct"),
    ("numpy._core.multiarray", "scalar"): _Word("scalar"),
    ("numpy._core.numeric", "_frombuffer"): _Word("frombuffer"),
}
_PLAIN_STATE = (3, "|", None, None, None, -1, -1, 0)  # of a dtype without fields and flags
_TYPES = {name: _Type(name.lstrip("|")) for name in ("u1", "|u1", "b1", "|b1")}
_MOST_DIMENSIONS = 4
_LATIN_1 = ("latin1", "latin-1")
# Numbers of bytes that hold an argument's length, and how the content becomes a value.
_TEXTS = {b"X": 4, b"\x8c": 1, b"\x8d": 8}
_BYTES = {b"T": 4, b"U": 1, b"B": 4, b"C": 1, b"\x8e": 8, b"\x96": 8}
_NUMBERS = {b"J": "<i", b"K": "<B", b"M": "<H", b"G": ">d"}
_CONSTANTS: dict[bytes, Any] = {b"N": None, b"\x88": True, b"\x89": False}


def unpickle(content: bytes, *, name: str) -> Any:
    """What a pickle of encoded images and truth values holds; strings of Python 2 become bytes.

    Args:
      content: The pickle, of any protocol.
      name: The file's, for messages.

    Returns:
      Tuples, lists, bools, bytes and arrays of uint8 or bool; numbers and None too, which no
      caller wants and each refuses. Lists may hold one object many times.

    Raises:
      DataError: If it asks for anything else, or is damaged.
    """
    try:
        return _Machine(content).run()
    except _Refused as error:
        raise DataError(f"{name}: {error}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, struct.error) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name}: no whole pickle ({type(error).__name__}: {reason}); copy it again."
        ) from error


class _Refused(Exception):
    """The pickle is sound and asks for what it does not get."""


class _Machine:
    """Runs one pickle.

    Args:
      content: The pickle.
    """

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._left = len(content)  # bytes that may still be made; each stands in the file once
        self._simple: dict[bytes, Callable[[], None]] = {
            b"(": lambda: self._stack.append(_MARK),
            b"0": lambda: self._drop(),
            b"1": lambda: self._drop_group(),
            b"2": lambda: self._stack.append(self._stack[-1]),
            b"\x80": lambda: self._skip(1),  # protocol
            b"\x95": lambda: self._skip(8),  # frame
            b"\x97": lambda: self._refuse("a buffer outside the file"),
            b"\x98": lambda: None,  # a buffer that is read-only, as all are here
            b"]": lambda: self._stack.append([]),
            b")": lambda: self._stack.append(()),
            b"l": lambda: self._stack.append(self._group()),
            b"t": lambda: self._stack.append(tuple(self._group())),
            b"\x85": lambda: self._tuple(1),
            b"\x86": lambda: self._tuple(2),
            b"\x87": lambda: self._tuple(3),
            b"a": lambda: self._extend([self._stack.pop()]),
            b"e": lambda: self._extend(self._group()),
            b"c": lambda: self._name(self._line().decode(), self._line().decode()),
            b"\x93": lambda: self._name(*reversed([self._stack.pop(), self._stack.pop()])),
            b"R": lambda: self._reduce(),
            b"b": lambda: self._build(),
            b"q": lambda: self._put(self._number("<B")),
            b"r": lambda: self._put(self._number("<I")),
            b"p": lambda: self._put(int(self._line())),
            b"\x94": lambda: self._put(len(self._memo)),
            b"h": lambda: self._stack.append(self._memo[self._number("<B")]),
            b"j": lambda: self._stack.append(self._memo[self._number("<I")]),
            b"g": lambda: self._stack.append(self._memo[int(self._line())]),
            b"I": lambda: self._stack.append(_whole_number(self._line())),
            b"L": lambda: self._stack.append(int(self._line().rstrip(b"L"))),
            b"F": lambda: self._stack.append(float(self._line())),
            b"\x8a": lambda: self._long(self._number("<B")),
            b"V": lambda: self._stack.append(self._line().decode("raw-unicode-escape")),
            b"S": lambda: self._stack.append(self._made(_unquoted(self._line()))),
        }

    def run(self) -> Any:
        """The value that the pickle ends with."""
        while (opcode := self._take(1)) != b".":
            if opcode in self._simple:
                self._simple[opcode]()
            elif opcode in _TEXTS:
                self._stack.append(self._counted(_TEXTS[opcode]).decode("utf-8", "surrogatepass"))
            elif opcode in _BYTES:
                self._stack.append(self._made(self._counted(_BYTES[opcode])))
            elif opcode in _NUMBERS:
                self._stack.append(self._number(_NUMBERS[opcode]))
            elif opcode in _CONSTANTS:
                self._stack.append(_CONSTANTS[opcode])
            else:
                self._refuse(f"instruction {opcode!r}")
        return self._stack.pop()

    def _refuse(self, what: str) -> None:
        raise _Refused(f"this pickle asks for {what}, which no file of images needs; it is refused")

    # The file: nothing is taken that is not there, so no length in it can ask for memory.

    def _take(self, count: int) -> bytes:
        taken = self._content[self._at : self._at + count]
        if len(taken) != count:
            raise ValueError(f"it ends at byte {len(self._content)}")
        self._at += count
        return taken

    def _skip(self, count: int) -> None:
        self._take(count)

    def _line(self) -> bytes:
        end = self._content.index(b"\n", self._at)
        line = self._content[self._at : end]
        self._at = end + 1
        return line

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _counted(self, width: int) -> bytes:
        return self._take(int.from_bytes(self._take(width), "little"))

    def _long(self, count: int) -> None:
        self._stack.append(int.from_bytes(self._take(count), "little", signed=True))

    def _made(self, content: bytes) -> bytes:
        """Bytes that were made, once they are counted."""
        self._left -= len(content)
        if self._left < 0:
            self._refuse("more bytes than it holds")
        return content

    # The stack.

    def _drop(self) -> None:
        self._stack.pop()

    def _drop_group(self) -> None:
        self._group()

    def _group(self) -> list[Any]:
        """Takes all that lies above the last mark."""
        start = len(self._stack) - 1
        while self._stack[start] is not _MARK:  # IndexError where there is none
            start -= 1
            if start < 0:
                raise ValueError("a group has no beginning")
        group = self._stack[start + 1 :]
        del self._stack[start:]
        return group

    def _tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise ValueError("a tuple lacks values")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise ValueError("values are added to what is no list")
        target += values

    def _put(self, key: int) -> None:
        value = self._stack[-1]
        if isinstance(value, _Pending):
            value.memo.append(key)
        self._memo[key] = value

    # What functions would do.

    def _name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is no text")
        modern = module.replace("numpy.core", "numpy._core").replace("__builtin__", "builtins")
        key = (modern, name)
        if key not in _WORDS:
            raise _Refused(
                f"this pickle asks for {module}.{name}, which could run code; it is refused."
            )
        self._stack.append(_WORDS[key])

    def _reduce(self) -> None:
        arguments, word = self._stack.pop(), self._stack.pop()
        if not isinstance(word, _Word) or not isinstance(arguments, tuple):
            raise ValueError("a call of what is no function")
        match word.name, arguments:
            case "encode", (str() as text, str() as coding) if coding in _LATIN_1:
                value: Any = self._made(text.encode("latin-1"))
            case "bytes", ():
                value = b""
            case "bytes", (bytes() as content,):
                value = content
            case "bytes", (str() as text, str() as coding) if coding in _LATIN_1:
                value = self._made(text.encode("latin-1"))
            case "dtype", (str() | bytes() as kind, *_):
                value = self._type(kind)
            case "reconstruct", (_Word("ndarray"), (0,), b"b" | "b"):
                value = _Pending()
            case "scalar", (_Type("b1"), bytes() as content) if len(content) == 1:
                value = content != b"\0"
            case "scalar", (_Type("u1"), bytes() as content) if len(content) == 1:
                value = content[0]
            case "frombuffer", (bytes() as content, _Type() as kind, tuple() as shape, order):
                value = _array(content, kind, shape, fortran=order == "F")
            case _:
                self._refuse(f"{word.name} of {', '.join(type(a).__name__ for a in arguments)}")
        self._stack.append(value)

    def _type(self, kind: str | bytes) -> _Type:
        text = kind.decode("latin-1") if isinstance(kind, bytes) else kind
        if text not in _TYPES:
            self._refuse(f"numbers of the type {text[:20]!r}")
        return _TYPES[text]

    def _build(self) -> None:
        """Gives the value on top its state: of a type nothing but the plain one is taken."""
        state, value = self._stack.pop(), self._stack[-1]
        if isinstance(value, _Type):
            plain = tuple("|" if item == b"|" else item for item in state)
            if plain != _PLAIN_STATE:
                self._refuse("a type of numbers with a state of its own")
            return
        match value, state:
            case _Pending(), (1, tuple() as shape, _Type() as kind, order, bytes() as content):
                array = _array(content, kind, shape, fortran=bool(order))
            case _:
                self._refuse(f"a state of {type(value).__name__}")
        self._stack[-1] = array
        for key in value.memo:
            self._memo[key] = array


def _array(content: bytes, kind: _Type, shape: tuple[Any, ...], *, fortran: bool) -> np.ndarray:
    """The bytes as an array, where they lie."""
    if len(shape) > _MOST_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array of an impossible shape")
    if math.prod(shape) != len(content):
        raise ValueError(f"an array of the shape {shape} has {len(content)} bytes")
    if kind.name == "b1" and content.translate(None, b"\0\1"):
        raise ValueError("truth values other than 0 and 1")
    array = np.frombuffer(content, bool if kind.name == "b1" else np.uint8)
    return array.reshape(shape, order="F" if fortran else "C")


def _whole_number(line: bytes) -> int | bool:
    return line == b"01" if line in (b"00", b"01") else int(line)


def _unquoted(line: bytes) -> bytes:
    """The bytes that Python 2 has written as a literal."""
    line = line.strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("a string without quotes")
    return codecs.escape_decode(line[1:-1])[0]
