"""Reading a YAML file into a validated value: duplicate keys refused, every error one line with file and place."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, which YAML forbids and PyYAML silently resolves to the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise ValueError(f"line {line}: a key must be a word, not a list or a mapping")
            if key in seen:
                raise ValueError(f"line {line}: key {key!r} is given twice, first on line {seen[key]}")
            seen[key] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The document in ``path`` as plain dicts, lists and scalars.

    Raises ``ValueError`` (one line: file, line, what is wrong) where the text is not YAML or repeats a key, and
    ``OSError`` where the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from None
    try:
        return yaml.load(text, _UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{path}: line {line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply, lists and mappings in each other without end") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def validated(adapter: TypeAdapter[T], data: Any, where: str) -> T:
    """``data`` checked against ``adapter``. Raises ``ValueError`` on the first fault: ``where: field: fault``."""
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        first = faults[0]
        place = ".".join(str(part) for part in first["loc"]) or "(top level)"
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        given = "" if isinstance(first["input"], dict | list) else f", got {first['input']!r}"
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {place}: {message}{given}{more}") from None
