"""designs/yaml_file.py: what is refused, and that the refusal is one line with file and place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter

from xnorscan.designs.yaml_file import read_yaml, validated


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reads_plain_values(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "a: 1\nb: {c: [x, 2.5]}\n")) == {"a": 1, "b": {"c": ["x", 2.5]}}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: key 'a' is given twice, first on line 1"),
        ("a:\n  b: 1\n  b: 2\n", "line 3: key 'b' is given twice, first on line 2"),
        ("a: [1\n", "line 2: not valid YAML"),
        ("? [x]\n: 1\n", "line 1: a key must be a word"),
        ("a: !!python/object:os.system {}\n", "line 1: not valid YAML: could not determine a constructor"),
        (b"a: \xff\n", "not a text file in UTF-8"),
        (b"a: \x00\n", "not valid YAML"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_refuses_in_one_line(tmp_path: Path, text: str | bytes, fault: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        read_yaml(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


class _Inner(BaseModel):
    size: int


class _Outer(BaseModel):
    inner: _Inner


def test_validation_names_the_field_path_and_the_value() -> None:
    with pytest.raises(ValueError, match=r"^x\.yaml: inner\.size: Input should be a valid integer.*, got 'many'$"):
        validated(TypeAdapter(_Outer), {"inner": {"size": "many"}}, "x.yaml")
