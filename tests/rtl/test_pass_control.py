"""What ``PassControl`` refuses; what it does is seen at the array's ports (``test_array``)."""

import pytest

from xnorscan.rtl.pass_control import PassControl


def test_a_capacity_that_would_block_for_ever_is_refused():
    with pytest.raises(ValueError, match=r"^capacity is 5, a pass of 4 rows needs at least 6$"):
        PassControl(4, 5)
