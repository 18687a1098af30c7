from __future__ import annotations

import gzip

import pytest

from xnorscan.models.operations import shape_trace
from xnorscan.models.precision import Precision
from xnorscan.models.published import get_config
from xnorscan.models.training.corpus import SourceFile, library, library_name
from xnorscan.reports import subjects
from xnorscan.reports.subjects import held_out_sample, subject


def files(*sizes: int) -> list[SourceFile]:
    return [SourceFile(f"{index}.py", b"x" * size) for index, size in enumerate(sizes)]


def test_a_sample_is_of_whole_files_and_within_the_limit() -> None:
    chosen = held_out_sample(1000, files(400, 500, 300, 90, 5000))
    assert sum(len(f.text) for f in chosen) <= 1000
    assert set(chosen) <= set(files(400, 500, 300, 90, 5000))
    assert len(chosen) >= 2


def test_a_sample_does_not_depend_on_the_order_of_the_files() -> None:
    one, other = files(400, 500, 300, 90), files(400, 500, 300, 90)[::-1]
    assert held_out_sample(800, one) == held_out_sample(800, other)


def test_a_sample_has_at_least_one_file() -> None:
    assert len(held_out_sample(1, files(400))) == 1


def test_the_sample_is_held_out() -> None:
    chosen = {f.path for f in held_out_sample(65_536)}
    assert chosen <= {f.path for f in library("held-out")}
    assert not chosen & {f.path for f in library("train")}


def test_a_published_model_has_shape_only_traces_of_both_phases() -> None:
    model = subject("Bi-Mamba-780M", precision=Precision(state_bits=8), prompt_length=100)
    assert model.quality is None
    assert {p: (t.metadata.phase, t.metadata.prompt_length, t.metadata.recorded) for p, t in model.traces.items()} == {
        "decode": ("decode", 100, False),
        "prefill": ("prefill", 100, False),
    }
    assert model.traces["decode"].metadata.precision["state_bits"] == 8


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="no model is named 'bi-mamba-3b'"):
        subject("bi-mamba-3b", precision=Precision())


@pytest.fixture(scope="module")
def tiny() -> subjects.Subject:
    seen: list[tuple[int, int]] = []
    model = subject(
        "tiny", precision=Precision(), prompt_length=64, text_bytes=2000, progress=lambda *p: seen.append(p)
    )
    assert seen[-1] == (model.quality.bytes, model.quality.bytes)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    return model


def test_a_shipped_model_is_run_on_held_out_text(tiny: subjects.Subject) -> None:
    chosen = held_out_sample(2000)
    quality = tiny.quality
    assert (quality.files, quality.bytes) == (len(chosen), sum(len(f.text) for f in chosen))
    assert quality.text == library_name()
    assert 1.0 < quality.bits_per_byte < 8.0
    packed = sum(len(gzip.compress(f.text, 9)) for f in chosen)
    assert quality.gzip == pytest.approx(8 * packed / quality.bytes)
    assert quality.xz > 0


def test_its_traces_are_recorded_and_have_the_rows_of_the_shape_only_ones(tiny: subjects.Subject) -> None:
    for phase, steps in (("prefill", 1), ("decode", subjects.DECODED)):
        recorded = tiny.traces[phase]
        shape = shape_trace(get_config("tiny"), phase=phase, length=64)
        assert recorded.metadata.recorded
        assert len(recorded.ops) == steps * len(shape.ops)
        first = recorded.ops[recorded.ops["step"] == 0].reset_index(drop=True)
        columns = [c for c in first if c not in ("density", "toggle", "saturations", "max_abs")]
        assert first[columns].equals(shape.ops[columns])
        assert recorded.ops.loc[recorded.ops["kind"] == "linear", "toggle"].notna().all()


def test_a_text_too_short_for_a_trace_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the held-out text has \d+ bytes, \d+ are needed for a trace"):
        subject("tiny", precision=Precision(), prompt_length=100_000, text_bytes=2000)
