"""Training runs of a few steps on generated text: what is refused, kept, resumed and reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from oracles.fbi_linear import signs_of
from oracles.mamba2 import LayerState, Weights, bits_per_symbol, chunked_scan, language_model, weights_from
from xnorscan.models.config import ModelConfig
from xnorscan.models.training.corpus import BEGIN, SourceFile, windows

torch = pytest.importorskip("torch")
from xnorscan.models.training import train as training  # noqa: E402 - it imports torch
from xnorscan.models.training.network import CHUNK, Carry, FBILinear, Network  # noqa: E402
from xnorscan.models.training.train import Recipe, Role, train  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = ModelConfig(
    name="generated", family="mamba2", binarized=False, d_model=16, layers=1, vocab_size=256,
    expand=2, d_state=4, d_conv=4, headdim=16, ngroups=1,
)  # fmt: skip
STUDENT = replace(CONFIG, binarized=True)
RECIPE = Recipe(role="twin", steps=6, batch=2, length=64, seed=3, warmup=2)


def generated(split: str) -> list[SourceFile]:
    """Six files of a few windows each; none ends where a window does."""
    lines = [f"def {split.replace('-', '_')}_{n}(x):\n    return x + {n * n}\n" for n in range(60)]
    return [SourceFile(f"{n}.py", "".join(lines[n :: n + 2]).encode() + b"#" * n) for n in range(6)]


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    """Generated text, a checkpoint every three steps, a report every step, one CPU thread, nothing compiled."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch, torch.compiler.set_stance("force_eager"):
        patch.setattr(training, "library", generated)
        patch.setattr(training, "CHECKPOINT_EVERY", 3)
        patch.setattr(training, "REPORT_EVERY", 1)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def twin(_small: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a twin trained for six steps."""
    return train(CONFIG, RECIPE, tmp_path_factory.mktemp("twin"))


@pytest.fixture(scope="module")
def student(twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a student distilled from it for six steps."""
    return train(STUDENT, replace(RECIPE, role="student"), tmp_path_factory.mktemp("student"), twin)


def parameters(path: Path) -> dict[str, np.ndarray]:
    """The model in a checkpoint."""
    return {name: value.numpy() for name, value in torch.load(path, weights_only=True)["model"].items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Equal to the last bit."""
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def result(path: Path) -> dict[str, Any]:
    """What stands beside a finished checkpoint."""
    return dict(json.loads(path.with_suffix(".json").read_text()))


def curve(path: Path) -> list[dict[str, Any]]:
    """The rows of a loss curve."""
    return [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]


@pytest.mark.parametrize("role", ["student", "twin"])
def test_a_student_needs_a_teacher_and_a_twin_takes_none(role: Role, tmp_path: Path) -> None:
    teacher = tmp_path / "twin.pt" if role == "twin" else None
    with pytest.raises(ValueError, match=f"role {role}: a student needs the twin's checkpoint and a twin takes none"):
        train(STUDENT, replace(RECIPE, role=role), tmp_path / "run", teacher)
    assert not (tmp_path / "run").exists()


def test_a_run_is_its_seed(twin: Path, tmp_path: Path) -> None:
    again = train(CONFIG, RECIPE, tmp_path / "again")
    other = train(CONFIG, replace(RECIPE, seed=4), tmp_path / "other")
    assert same(parameters(again), parameters(twin))
    assert not same(parameters(other), parameters(twin))


def test_every_parameter_learns(twin: Path, student: Path, tmp_path: Path) -> None:
    still = replace(RECIPE, steps=3, matrix_rate=0.0, vector_rate=0.0, scale_rate=0.0)
    starts = (
        (train(CONFIG, still, tmp_path), twin),
        (train(STUDENT, replace(still, role="student"), tmp_path, twin), student),
    )
    for start, trained in starts:
        learned = parameters(trained)
        for name, value in parameters(start).items():
            assert (value != learned[name]).any(), name


def test_the_loss_falls(tmp_path: Path) -> None:
    path = train(CONFIG, replace(RECIPE, steps=60, vector_rate=2e-2), tmp_path)
    bits = [row["bits_per_byte"] for row in curve(path)]
    assert bits[0] == pytest.approx(8, abs=0.5), "nothing is known at first"
    assert bits[-1] < 5
    assert result(path)["held_out_bits_per_byte"] < 5


def test_a_student_starts_from_its_twin(twin: Path, tmp_path: Path) -> None:
    """At rates of zero nothing moves: what is saved is what the student started from."""
    frozen = replace(RECIPE, role="student", steps=3, matrix_rate=0.0, vector_rate=0.0, scale_rate=0.0)
    got, given = parameters(train(STUDENT, frozen, tmp_path, twin)), parameters(twin)
    for name, value in given.items():
        assert (got.pop(name) == value).all()
        if "_proj." in name:
            beta = value.mean(axis=0, keepdims=True)
            assert got.pop(name.replace("weight", "wbias")) == pytest.approx(beta, abs=1e-6)
            scale = got.pop(name.replace("weight", "wscale"))
            assert scale == pytest.approx(np.abs(value - beta).mean(axis=0, keepdims=True), abs=1e-6)
    assert not got


def test_a_student_leaves_its_twin_alone(twin: Path, student: Path) -> None:
    before = parameters(twin)
    assert not (parameters(student)["backbone.embedding.weight"] == before["backbone.embedding.weight"]).all()
    assert same(parameters(train(CONFIG, RECIPE, twin.parent)), before), "a finished run is not run again"


@pytest.mark.usefixtures("_single")
@pytest.mark.parametrize("hard_share", [0.0, 0.25])
def test_the_students_loss_is_autoregressive_distillation(hard_share: float, twin: Path, tmp_path: Path) -> None:
    """Cross-entropy against the twin's softmax, averaged over the bytes that exist; padding counts for nothing."""
    torch.manual_seed(0)
    recipe = replace(RECIPE, role="student", hard_share=hard_share)
    teacher, net = training._load_twin(STUDENT, twin), Network(STUDENT)
    training._start_from_twin(net, teacher)
    assert all(m.quantize_activations for m in net.modules() if isinstance(m, FBILinear))
    net.backbone.embedding.weight.data *= 20
    teacher.backbone.embedding.weight.data *= 30
    run = training._Run(net, teacher, recipe, tmp_path, torch.device("cpu"))
    ids = torch.randint(0, 256, (2, 64))
    targets = torch.randint(0, 256, (2, 64))
    targets[1, 40:] = -100
    loss, bits = run._loss(ids, targets, Carry.zeros(STUDENT, 2), Carry.zeros(STUDENT, 2))
    with torch.no_grad():
        carry = Carry.zeros(STUDENT, 2)
        student, soft = (n(ids, carry.tails, carry.states)[0].double().numpy() for n in (net, teacher))
    real = targets.numpy() >= 0
    chance = np.exp(soft) / np.exp(soft).sum(axis=-1, keepdims=True)
    surprise = np.log(np.exp(student).sum(axis=-1, keepdims=True)) - student
    hard = bits_per_symbol(student[real], targets.numpy()[real])
    distilled = (chance * surprise).sum(axis=-1)[real].mean()
    assert bits.item() == pytest.approx(hard, rel=1e-5)
    assert loss.item() == pytest.approx(hard_share * hard * np.log(2) + (1 - hard_share) * distilled, rel=1e-5)


def test_student_and_twin_both_forget_where_a_file_begins(
    twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, kept = training._Run._loss, [0, 0]

    def watched(run: Any, ids: Tensor, targets: Tensor, *carries: Carry) -> Any:
        begins = ids[:, 0] == BEGIN
        for i, carry in enumerate(carries if torch.is_grad_enabled() else ()):
            for part in carry.tails + carry.states:
                assert not part[begins].any()
                kept[i] += int(part[~begins].any())
        return loss(run, ids, targets, *carries)

    monkeypatch.setattr(training._Run, "_loss", watched)
    train(STUDENT, replace(RECIPE, role="student"), tmp_path, twin)
    assert min(kept) > 0, "and remember in between"


@pytest.mark.parametrize("role", ["twin", "student"])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    role: Role, twin: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, whole, teacher = (CONFIG, twin, None) if role == "twin" else (STUDENT, student, twin)
    report = training._Run._report

    def interrupted(run: Any, *arguments: Any) -> None:
        report(run, *arguments)
        if run.step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "_report", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, replace(RECIPE, role=role), tmp_path, teacher)
    assert torch.load(tmp_path / f"{role}.pt", weights_only=True)["step"] == 3
    path = train(config, replace(RECIPE, role=role), tmp_path, teacher)
    assert same(parameters(path), parameters(whole))
    assert [row["step"] for row in curve(path)] == [1, 2, 3, 4, 5, 6]


def test_a_run_interrupted_after_its_last_step_still_tells_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = training._Run._report

    def interrupted(run: Any, *arguments: Any) -> None:
        if run.step == RECIPE.steps:
            raise KeyboardInterrupt
        report(run, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "_report", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, RECIPE, tmp_path)
    assert result(train(CONFIG, RECIPE, tmp_path))["step"] == RECIPE.steps


def test_a_length_that_fills_no_chunk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"length.* 100.*{CHUNK}"):
        train(CONFIG, replace(RECIPE, length=100), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_stands_beside_a_result(twin: Path) -> None:
    beside = result(twin)
    assert Recipe(**beside["recipe"]) == RECIPE
    assert beside["library"].split()[0] in ("CPython", "PyPy")
    assert beside["torch"] == torch.__version__
    assert beside["step"] == 6
    assert [row["step"] for row in curve(twin)] == [1, 2, 3, 4, 5, 6]
    assert beside["held_out_bits_per_byte"] == curve(twin)[-1]["held_out_bits_per_byte"]


def test_the_curve_is_json_to_every_reader(twin: Path) -> None:
    """Before the first check there is no held-out figure; NaN is no JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    for line in twin.with_suffix(".jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def oracle_bits(path: Path, config: ModelConfig, split: str, count: int) -> tuple[list[float], list[int]]:
    """Bits per byte of the first windows of ``split`` by the float64 oracle, and how many bytes each predicts."""
    weights = oracle_weights(path, config)
    states: list[list[LayerState] | None] = [None] * RECIPE.batch
    bits, counts = [], []
    for window in islice(windows(generated(split), RECIPE.batch, RECIPE.length, RECIPE.seed), count):
        logits = []
        for row in range(RECIPE.batch):
            before = None if window.begins[row] else states[row]
            predicted, states[row] = language_model(weights, window.ids[row], before, chunked_scan)
            logits.append(predicted)
        real = window.targets >= 0
        bits.append(bits_per_symbol(np.stack(logits)[real], window.targets[real]))
        counts.append(int(real.sum()))
    return bits, counts


def oracle_weights(path: Path, config: ModelConfig) -> Weights:
    """A checkpoint as the float64 oracle takes it: W~ = α·S + β."""
    tensors = {name.removeprefix("backbone."): value for name, value in parameters(path).items()}
    linears = {name.removesuffix(".weight"): value for name, value in tensors.items() if name.endswith("_proj.weight")}
    if config.binarized:
        linears = {
            name: tensors[f"{name}.wscale"] * signs_of(latent) + tensors[f"{name}.wbias"]
            for name, latent in linears.items()
        }
    return weights_from(config, tensors, linears)


@pytest.fixture
def _single(monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32 in place of mixed precision: what is left against the oracle is a mistake."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.mark.usefixtures("_single")
def test_the_figures_are_the_published_models(tmp_path: Path) -> None:
    """At rates of zero every window meets the same model: each step's figure and the held-out one are the oracle's."""
    still = replace(RECIPE, steps=12, matrix_rate=0.0, vector_rate=0.0, scale_rate=0.0)
    path = train(CONFIG, still, tmp_path)
    expected, _ = oracle_bits(path, CONFIG, "train", 12)
    assert [row["bits_per_byte"] for row in curve(path)] == pytest.approx(expected, rel=2e-6)
    bits, counts = oracle_bits(path, CONFIG, "held-out", 24)
    mean = np.dot(bits, counts) / sum(counts)
    assert result(path)["held_out_bits_per_byte"] == pytest.approx(mean, rel=2e-6)
    assert np.std(expected) > 1e-3, "the windows must differ for their order to matter"


def test_mixed_precision_and_integer_activations_cost_little(student: Path) -> None:
    bits, counts = oracle_bits(student, STUDENT, "held-out", 24)
    assert result(student)["held_out_bits_per_byte"] == pytest.approx(np.dot(bits, counts) / sum(counts), rel=0.01)
