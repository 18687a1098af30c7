"""models/precision.py: what is allowed, and the line that says so."""

from __future__ import annotations

import pytest

from xnorscan.models.precision import STATE_BITS, Precision


@pytest.mark.parametrize("bits", STATE_BITS)
def test_every_stated_state_width_is_allowed(bits: int) -> None:
    assert Precision(state_bits=bits).state_bits == bits


@pytest.mark.parametrize(("head", "planes"), [("int8", 8), ("binary", 1)])
def test_planes_of_the_head(head: str, planes: int) -> None:
    assert Precision(head=head).head_planes == planes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state_bits": 10}, "state_bits is 10, it must be one of 8, 12, 16, 18, 24, 32"),
        ({"state_range_bits": 15}, "state_range_bits is 15, 16-bit states allow 0 to 14"),
        ({"state_range_bits": -1}, "state_range_bits is -1, 16-bit states allow 0 to 14"),
        ({"activation_bits": 4}, "activation_bits is 4; the quantizers of this version make 8"),
        ({"quantizer": "int4"}, "quantizer is 'int4', it must be one of pow2, absmax"),
        ({"head": "fp16"}, "head is 'fp16', it must be one of int8, binary"),
    ],
)
def test_refuses(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Precision(**changes)
