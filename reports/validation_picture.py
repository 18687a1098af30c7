"""All published chips in one picture: our figure over the published one, with its range, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..energy_models.validation.predict import WITHIN, Prediction, tally
from .plotting import BLUE, GREEN, GRID, INK, MUTED, ORANGE, VERMILLION, Picture, finish, headline, key
from .quantities import digits, factor

PICTURE = "validation"
WIDTH_INCHES, ROW_INCHES, LEFT_INCHES, RIGHT_INCHES, ABOVE_INCHES, BELOW_INCHES = 9.6, 0.3, 2.15, 2.05, 1.02, 0.5
_LIMITS = (0.035, 14.0)
_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


def picture(found: Sequence[Prediction]) -> Picture:
    """Ours over published, low to high, one line per figure, on a logarithmic axis. To be called inside
    ``plotting.style``."""
    count = tally(found)
    rows_inches = ROW_INCHES * len(found)
    height = ABOVE_INCHES + rows_inches + BELOW_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height))
    of = count.predictions
    title = f"{count.near} of {of} predictions within {WITHIN:g}× of the chip, {count.inside} of {of} inside our range"
    drawn = f"typical (dot), low to high (bar), within {WITHIN:g}× (grey); orange names: not inside"
    subtitle = f"Our figure over the published one: {drawn}"
    headline(figure, title, subtitle)
    width = WIDTH_INCHES - LEFT_INCHES - RIGHT_INCHES
    box = (LEFT_INCHES / WIDTH_INCHES, BELOW_INCHES / height, width / WIDTH_INCHES, rows_inches / height)
    axes = figure.add_axes(box)
    _draw(axes, found)
    alt = "; ".join(f"{each.chip} {each.point}: {factor(each.ratio)}" for each in found)
    return finish(figure, name=PICTURE, title=title, caption=subtitle, alt=alt)


def _colour(each: Prediction) -> str:
    if each.claim == "bound":
        return ORANGE
    return GREEN if each.quantity != "energy per operation" else BLUE


def _draw(axes: Axes, found: Sequence[Prediction]) -> None:
    axes.set(xscale="log", xlim=_LIMITS, ylim=(len(found) - 0.5, -0.5))
    axes.axvspan(1 / WITHIN, WITHIN, color=GRID, alpha=0.55, linewidth=0)
    axes.axvline(1, color=INK, linewidth=1.0)
    axes.set_xticks(_TICKS, [f"{tick:g}×" for tick in _TICKS])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(found)), [""] * len(found))
    axes.grid(axis="x")
    axes.set_xlabel("ours / published", loc="right", labelpad=1)
    for row, each in enumerate(found):
        low, typical, high = each.ours / each.published
        axes.plot([low, high], [row, row], color=_colour(each), linewidth=5, alpha=0.38, solid_capstyle="butt")
        axes.plot([typical], [row], "o", color=_colour(each), markersize=6.5)
        ours, published = digits(float(each.ours[1])), f"{digits(each.published)} {each.unit}"
        _write(axes, row, (each.chip, each.point, ours, published), INK if each.inside else VERMILLION)
    _write(axes, -0.95, ("", "", "ours", "published"), MUTED)
    kinds = [("energy per operation", BLUE), ("time or tokens", GREEN), ("bound from above", ORANGE)]
    key(axes, [(name, colour) for name, colour in kinds if any(_colour(each) == colour for each in found)])


def _write(axes: Axes, row: float, texts: tuple[str, str, str, str], colour: str) -> None:
    """Chip and point left of the axes, ours and published right of them."""
    width = WIDTH_INCHES - LEFT_INCHES - RIGHT_INCHES
    places = ((-LEFT_INCHES + 0.12, "left"), (-1.0, "left"), (width + 0.55, "right"), (width + 0.75, "left"))
    for text, (inches, align), shade in zip(texts, places, (colour, MUTED, colour, colour), strict=True):
        axes.text(
            inches / width, row, text, color=shade, fontsize=8.6, va="center", ha=align,
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
