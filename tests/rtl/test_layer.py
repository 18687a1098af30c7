"""Whole layers through the AXI faces alone, in Verilator: every result is that of the simulator's ``apply_linear``.

Each engine is built once and plays many scripts of ``golden_layer``: the tests differ in what their scripts do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from oracles.integers import clip, half_even
from oracles.popcount import signed_sum
from xnorscan.models.shipped import load_shipped
from xnorscan.rtl.config import ArrayConfig, CoreConfig
from xnorscan.rtl.golden import VALUES, Product, random_product
from xnorscan.rtl.golden_layer import (
    Script,
    Task,
    activation_words,
    linear_task,
    random_linear,
    random_x,
    raw_task,
    result_rows,
    tasks_of_text,
    write_scripts,
)
