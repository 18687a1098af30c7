"""The benches of the primitives notice every fault that makes a difference, and a weak bench is told."""

from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from xnorscan.rtl import mutate
from xnorscan.rtl.mutate import Outcome, run_mutants
from xnorscan.rtl.netlist import Netlist
from xnorscan.rtl.primitives import PRIMITIVES, select_tree, xor_popcount

QUICK = ("xor_popcount", "signed_sum", "accumulator serial", "accumulator parallel ecp5", "select_tree", "skid_buffer")


@pytest.mark.parametrize("name", QUICK)
def test_no_fault_survives(name):
    outcome = run_mutants(PRIMITIVES[name], mutants=25, cycles=1000)
    assert outcome.survived == ()
    assert outcome.killed >= 10
    assert outcome.killed + outcome.equivalent + outcome.alike == outcome.mutants == 25
    assert outcome.kill_rate == 1


@pytest.mark.verify
@pytest.mark.parametrize("name", PRIMITIVES)
def test_no_fault_of_many_survives(name):
    outcome = run_mutants(PRIMITIVES[name], mutants=300, cycles=1000)
    assert outcome.survived == ()
    assert outcome.killed >= 100


def test_faults_survive_a_bench_that_looks_away():
    part = select_tree(4, 2)

    def blind(rng):
        for inputs, outputs in part.bench(rng):
            value = outputs["o"]
            yield inputs, {"o": None if value is None or value & 1 else value}

    outcome = run_mutants(replace(part, bench=blind), mutants=25, cycles=3)
    assert outcome.survived
    assert outcome.kill_rate < 1
    assert all(len(fault.split()) == 3 for fault in outcome.survived)


def test_a_bench_that_expects_something_else_is_refused():
    part = xor_popcount(4)

    def wrong(rng):
        for inputs, outputs in part.bench(rng):
            yield inputs, {"o": None if outputs["o"] is None else outputs["o"] + 1}

    with pytest.raises(ValueError, match=r"^the bench finds the part wrong without any fault$"):
        run_mutants(replace(part, bench=wrong), mutants=5, cycles=20)


def test_the_kill_rate_leaves_out_what_is_no_fault():
    assert Outcome(10, 6, 1, 1, ("a", "b")).kill_rate == 0.75
    assert Outcome(2, 0, 2, 0, ()).kill_rate == 0


def test_the_table_has_a_row_a_part_and_the_command_fails_for_a_survivor(monkeypatch, capsys):
    monkeypatch.setattr(mutate, "PRIMITIVES", {"part": None})
    monkeypatch.setattr("sys.argv", ["mutate", "--mutants", "4"])
    for survived, code in (((), 0), (("inv cell A[0]",), 1)):
        monkeypatch.setattr(
            mutate, "run_mutants", lambda primitive, survived=survived, **options: Outcome(4, 3, 0, 0, survived)
        )
        assert mutate.main() == code
        said = capsys.readouterr().out
        assert ("part survived: inv cell A[0]" in said) == bool(survived)
        assert "kill rate" in said


def test_a_netlist_is_evaluated_for_all_versions_at_a_time():
    """o = a ^ s, a register behind it that starts at 1: version 0 passes a on, version 1 inverts it."""
    module = {
        "ports": {"a": {"bits": [2]}, "s": {"bits": [3]}, "o": {"bits": [5]}},
        "cells": {
            "x": {"type": "$_XOR_", "connections": {"A": [2], "B": [3], "Y": [4]}},
            "r": {"type": "$_DFF_P_", "connections": {"C": [6], "D": [4], "Q": [5]}},
        },
        "netnames": {"o": {"bits": [5], "attributes": {"init": "1"}}},
    }
    assert Netlist(module, "s", 2).differing([({"a": 0}, {"o": 1})]) == 0
    assert Netlist(module, "s", 2).differing([({"a": 0}, {"o": 1}), ({"a": 0}, {"o": 0})]) == 0b10
    assert Netlist(module, "s", 2).differing([({"a": 1}, {"o": None}), ({"a": 1}, {"o": 0})]) == 0b01


@pytest.mark.parametrize("name", PRIMITIVES)
def test_benches_are_drawn_anew_with_every_seed_and_alike_with_the_same(name):
    first, again, other = (list(islice(PRIMITIVES[name].bench(Random(seed)), 50)) for seed in (1, 1, 2))
    assert first == again != other
