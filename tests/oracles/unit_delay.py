"""Adders whose outputs change one delay after their inputs: how often they do in a step, an independent count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Word = list[int]
Bits = npt.NDArray[np.bool_]


class Adders:
    """A netlist of full and half adders; a wire is an index, gates stand in the order of their inputs."""

    def __init__(self) -> None:
        self.wires = 0
        self.gates: list[tuple[Word, Word]] = []

    def word(self, bits: int) -> Word:
        self.wires += bits
        return list(range(self.wires - bits, self.wires))

    def adder(self, *inputs: int) -> Word:
        """Sum and carry of two or three bits."""
        outputs = self.word(2)
        self.gates.append((list(inputs), outputs))
        return outputs

    def ripple(self, one: Word, other: Word, carry: int | None = None) -> Word:
        """Their sum, one bit wider."""
        result = []
        for bits in zip(one, other, strict=True):
            total, carry = self.adder(*bits) if carry is None else self.adder(*bits, carry)
            result.append(total)
        return [*result, carry]

    def changes(self, inputs: Word, steps: int, seed: int = 0) -> tuple[float, float]:
        """Changes of the outputs of an adder in a step of random inputs: all of them, and those that last."""
        rng = np.random.default_rng(seed)
        before, after = (rng.integers(0, 2, (len(inputs), steps)).astype(bool) for _ in range(2))
        settled, state = self._settled(inputs, after), self._settled(inputs, before)
        outputs = [wire for _, gate in self.gates for wire in gate]
        lasting = np.sum(settled[outputs] ^ state[outputs])
        state[inputs] = after
        total = 0
        while True:
            new = state.copy()
            for gate, (total_wire, carry) in self.gates:
                new[total_wire], new[carry] = _added(state[gate])
            moved = int(np.sum(new ^ state))
            if not moved:
                break
            total, state = total + moved, new
        assert (state == settled).all()
        return total / steps / len(self.gates), lasting / steps / len(self.gates)

    def _settled(self, inputs: Word, values: Bits) -> Bits:
        state = np.zeros((self.wires, values.shape[1]), dtype=bool)
        state[inputs] = values
        for gate, (total, carry) in self.gates:
            state[total], state[carry] = _added(state[gate])
        return state


def ripple_adder(bits: int) -> tuple[Adders, Word]:
    """Of two words; its inputs."""
    netlist = Adders()
    inputs = netlist.word(2 * bits)
    netlist.ripple(inputs[:bits], inputs[bits:])
    return netlist, inputs


def popcount(lanes: int) -> tuple[Adders, Word]:
    """The tree of ``gates.xnor_popcount`` behind its XNORs, of four lanes or more, in one stage."""
    netlist = Adders()
    inputs = netlist.word(lanes)
    waiting = list(inputs)
    words = [[waiting.pop()] for _ in range(lanes // 2)]
    while len(words) > 1:
        words = [netlist.ripple(*pair, waiting.pop()) for pair in zip(words[::2], words[1::2], strict=True)]
    carry = waiting.pop()
    for bit in words[0]:
        _, carry = netlist.adder(bit, carry)
    return netlist, inputs


def signed_sum(lanes: int, bits: int) -> tuple[Adders, Word]:
    """The tree of ``gates.signed_sum`` behind its XNORs, in one stage."""
    netlist = Adders()
    inputs = netlist.word(lanes * bits)
    words = [inputs[lane * bits : (lane + 1) * bits] for lane in range(lanes)]
    while len(words) > 1:
        words = [netlist.ripple(*pair) for pair in zip(words[::2], words[1::2], strict=True)]
    return netlist, inputs


def _added(values: Bits) -> tuple[Bits, Bits]:
    count = values.sum(axis=0)
    return count % 2 == 1, count >= 2
