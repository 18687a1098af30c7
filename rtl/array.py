"""``SystolicArray``: rows of tokens × columns of outputs of elements, fed by two streams of words."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import array_latency, rows_buffered
from .block import Block
from .config import ArrayConfig
from .delay import DelayLine
from .pass_control import PassControl
from .select_tree import SelectTree
from .stages import delayed
from .stream import StreamFifo


def activation_step(config: ArrayConfig) -> data.StructLayout:
    """Layout of one step's activations.

    ``words``: rows × ``lanes · word_bits`` (lane 0 in the low bits); ``double``: double the sums before this step
    (serial: set in the first word of every bit); ``last``: last step of the pass; ``height``: rows of the pass that
    leave, 1 to ``rows``, read on its last step.
    """
    return data.StructLayout(
        {
            "words": data.ArrayLayout(config.lanes * config.word_bits, config.rows),
            "double": 1,
            "last": 1,
            "height": range(config.rows + 1),
        }
    )


def weight_step(config: ArrayConfig) -> data.StructLayout:
    """Layout of one step's weights. ``words``: cols × ``lanes`` (lane 0 in the low bit)."""
    return data.StructLayout({"words": data.ArrayLayout(config.lanes, config.cols)})


def raw_row(config: ArrayConfig) -> data.StructLayout:
    """Layout of one row of results. ``raw``: cols × ``acc_bits``; ``last``: last row of its pass."""
    return data.StructLayout({"raw": data.ArrayLayout(config.acc_bits, config.cols), "last": 1})


class SystolicArray(wiring.Component):
    """raw[r, c] = Σ over the steps of a pass of mismatches, a serial pass doubling at each further activation bit.

    serial: raw = Σ_k 2^k · popcount(w[c] ⊕ u[r]_k), parallel: raw = Σ_i (w[c]_i ? 255 − u[r]_i : u[r]_i): the same
    integer. Passes follow each other without a bubble; a pass ends ``height`` of the pass before it, or more, cycles
    after that one (the rows leave through the same port, one a cycle). Row r of a pass leaves r cycles after row 0.

    Nothing in the array stalls. Row r runs r cycles behind row 0, block column b runs b cycles behind block column 0:
    that is why a column needs no more than a select tree to read its rows one after the other.

    Members:
        ``i_activations``: In, stream of ``activation_step(config)``;
        ``i_weights``: In, stream of ``weight_step(config)``, one for each step of activations;
        ``o``: Out, stream of ``raw_row(config)``, ``height`` of them a pass, row 0 first.
        ``ready`` of each input depends on ``valid`` of the other and on ``last``, on nothing else from outside.
    ``ahead``: cycles between the array and whoever decides in its place which steps it takes (``ArrayCore``), there and
    back: room behind the array for the rows of that time as well.
    Latency ``array_latency`` from a last step to row 0, interval 1.
    """

    interval = 1

    def __init__(self, config: ArrayConfig, ahead: int = 0) -> None:
        self._config, self._ahead = config, ahead
        super().__init__(
            {
                "i_activations": In(stream.Signature(activation_step(config))),
                "i_weights": In(stream.Signature(weight_step(config))),
                "o": Out(stream.Signature(raw_row(config))),
            }
        )
        first = range(0, config.cols, config.cols_per_block)
        self._columns = [range(start, min(start + config.cols_per_block, config.cols)) for start in first]

    @property
    def latency(self) -> int:
        """Cycles from the transfer of a pass's last step to the earliest transfer of its row 0."""
        config = self._config
        return array_latency(config.rows, config.cols, config.lanes, config.cols_per_block, config.levels_per_stage)

    @property
    def capacity(self) -> int:
        """Rows that fit behind the array."""
        return rows_buffered(self._config.rows, self.latency + self._ahead)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.control = control = PassControl(config.rows, self.capacity)
        grid = [[Block(config, len(columns), row) for columns in self._columns] for row in range(config.rows)]
        for row, blocks in enumerate(grid):
            for column, block in enumerate(blocks):
                m.submodules[f"block_{row}_{column}"] = block
        self._join(m, control)
        self._feed_rows(m, grid, control)
        self._feed_columns(m, grid)
        self._drain(m, grid, control)
        freed = Signal()
        m.d.sync += freed.eq(self.o.valid & self.o.ready)
        m.d.comb += control.i_freed.eq(freed)
        return m

    def _join(self, m: Module, control: PassControl) -> None:
        step = self.i_activations.payload
        m.d.comb += [
            control.i_activations.eq(self.i_activations.valid),
            control.i_weights.eq(self.i_weights.valid),
            control.i_last.eq(step.last),
            control.i_height.eq(step.height),
            self.i_activations.ready.eq(control.o_activations),
            self.i_weights.ready.eq(control.o_weights),
        ]

    def _feed_rows(self, m: Module, grid: list[list[Block]], control: PassControl) -> None:
        """Activations row block by row block, each a cycle later; flags down the first block column; both right."""
        step = self.i_activations.payload
        first, per_block = grid[0][0].i_flags, self._config.rows_per_block
        m.d.comb += [
            first.enable.eq(control.o_step),
            first.double.eq(step.double),
            first.last.eq(step.last),
            first.select.eq(control.o_step & step.last),
        ]
        for row, blocks in enumerate(grid):
            m.submodules[f"skew_row_{row}"] = skew = DelayLine(blocks[0].i_activations.shape(), row // per_block)
            m.d.comb += [skew.i.eq(step.words[row]), blocks[0].i_activations.eq(skew.o)]
            if row:
                above = grid[row - 1][0].o_flags
                m.d.comb += [
                    blocks[0].i_flags.eq(above),
                    blocks[0].i_flags.select.eq(above.select & ~control.o_row_last),
                ]
            for left, right in pairwise(blocks):
                m.d.comb += [right.i_activations.eq(left.o_activations), right.i_flags.eq(left.o_flags)]

    def _feed_columns(self, m: Module, grid: list[list[Block]]) -> None:
        """Weights block column by block column, each a cycle later, and down."""
        words = self.i_weights.payload.words
        for index, columns in enumerate(self._columns):
            shape = data.ArrayLayout(self._config.lanes, len(columns))
            m.submodules[f"skew_column_{index}"] = skew = DelayLine(shape, index)
            m.d.comb += [skew.i[place].eq(words[column]) for place, column in enumerate(columns)]
            m.d.comb += grid[0][index].i_weights.eq(skew.o)
            for above, below in pairwise(grid):
                m.d.comb += below[index].i_weights.eq(above[index].o_weights)

    def _drain(self, m: Module, grid: list[list[Block]], control: PassControl) -> None:
        """The rows of every column through its select tree into the FIFO of its block column.

        Rows of a block column come a cycle after those of the one before it. The FIFOs wait for the last of them, which
        alone holds the mark of the last row. Each has registers of its own for the marks on their way: it may lie far
        from the others.
        """
        config, blocks = self._config, len(self._columns)
        for index, columns in enumerate(self._columns):
            late = blocks - 1 - index
            marked = {} if late else {"last": 1}
            part = data.StructLayout({"raw": data.ArrayLayout(config.acc_bits, len(columns)), **marked})
            m.submodules[f"fifo_{index}"] = fifo = StreamFifo(part, self.capacity, config.tech, late=late)
            wait = self.latency - control.latency - fifo.latency
            m.d.comb += [
                fifo.i.valid.eq(delayed(m, control.o_row, wait, 0, f"marks_{index}")),
                fifo.o.ready.eq(self.o.ready),
            ]
            for place, column in enumerate(columns):
                m.submodules[f"tree_{column}"] = tree = SelectTree(config.rows, config.acc_bits)
                m.d.comb += [
                    tree.i_select.eq(Cat(row[index].o_select[place] for row in grid)),
                    *(tree.i[number].eq(row[index].o_sums[place]) for number, row in enumerate(grid)),
                    fifo.i.payload.raw[place].eq(tree.o),
                    self.o.payload.raw[column].eq(fifo.o.payload.raw[place]),
                ]
        m.d.comb += [
            fifo.i.payload.last.eq(delayed(m, control.o_row_last, wait, 0, "last")),
            self.o.payload.last.eq(fifo.o.payload.last),
            self.o.valid.eq(fifo.o.valid),
        ]
