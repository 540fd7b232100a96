"""YAML with line numbers: the documents of one file, each read on its own.

PyYAML stops at the first error of a stream, and its plain loading forgets where things stood. So a file is cut at its
`---` lines first (a line that begins so is a document marker wherever it stands, inside block texts too), and each
piece is composed into nodes, which know their lines, before it is turned into values. A piece keeps as many empty
lines before it as it had lines above, so every line number is that of the file.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jetmill_operator.api.refusal import ValuePath, format_path
from jetmill_operator.dev.fault import Fault

MAX_FILE_BYTES = 4_194_304
_MARKER = re.compile(r"---(\s|$)")
_BLANK = re.compile(r"\s*(#.*)?|%.*")


@dataclass(frozen=True, slots=True)
class Document:
    """One document as values, and the line of each of them."""

    file: Path
    value: Any
    lines: dict[ValuePath, int]

    def line_of(self, path: ValuePath) -> int:
        """The line of the value at `path` (of its key, where it has one), or of the nearest part that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_documents(file: Path, *, shown: Path) -> Iterator[Document | Fault]:
    """Read a file, in its order, empty documents left out; `shown` is how its name is written in faults."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            yield Fault(shown, 1, "", "is larger than 4 MiB", "split it")
            return
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        yield Fault(shown, 1, "", "is not UTF-8", "save it as UTF-8")
    except OSError as err:
        yield Fault(shown, 1, "", f"cannot be read: {err.strerror}", "check that it is there and readable")
    else:
        for first, piece in _cut(text):
            read = _read_piece("\n" * first + piece, shown)
            if read is not None:
                yield read


def _cut(text: str) -> Iterator[tuple[int, str]]:
    """Cut at the document markers: each piece with how many lines stand before it."""
    first, piece = 0, list[str]()
    for number, line in enumerate(text.split("\n")):
        if _MARKER.match(line):
            yield first, "\n".join(piece)
            first, piece = number, [line]
        else:
            piece.append(line)
    yield first, "\n".join(piece)


def _read_piece(text: str, file: Path) -> Document | Fault | None:
    if all(_BLANK.fullmatch(line) or line.strip() == "---" for line in text.splitlines()):
        return None
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as err:
        line = text.count("\n", 0, err.position) + 1
        return Fault(file, line, "", f"is no YAML: {err.reason}", f"remove the character U+{err.character:04X}")
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        lines: dict[ValuePath, int] = {(): node.start_mark.line + 1}
        fault = _note_lines(node, (), lines, set(), file)
        return fault or Document(file, loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line = 1 if mark is None else mark.line + 1
        return Fault(
            file, line, "", f"is no YAML: {err.problem or err.context}", "check indentation, quotes and colons"
        )
    except (RecursionError, ValueError) as err:
        return Fault(file, 1, "", f"holds a value that cannot be read: {err}", "write it as a text in quotes")
    finally:
        loader.dispose()


def _note_lines(
    node: yaml.Node, path: ValuePath, lines: dict[ValuePath, int], above: set[int], file: Path
) -> Fault | None:
    """Fill `lines` from the nodes; a key that stands twice is a fault, for only one of them would count."""
    if id(node) in above:
        return Fault(file, node.start_mark.line + 1, format_path(path), "contains itself", "remove the alias")
    above = above | {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            if fault := _note_lines(item, (*path, index), lines, above, file):
                return fault
    elif isinstance(node, yaml.MappingNode):
        seen: dict[Hashable, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen and name != "<<":
                what = f"stands twice (first in line {seen[name]})"
                return Fault(file, line, format_path((*path, name)), what, "keep one of them")
            seen[name] = lines[(*path, name)] = line
            if fault := _note_lines(value, (*path, name), lines, above, file):
                return fault
    return None
