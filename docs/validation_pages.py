"""Write ``validation/*.md`` and their picture again from chips and model: ``python docs/validation_pages.py``."""

from __future__ import annotations

from pathlib import Path

from xnorscan.energy_models.validation.chip import chip_names, load_chip
from xnorscan.energy_models.validation.predict import Prediction, predict
from xnorscan.reports.plotting import style
from xnorscan.reports.validation import chip_page, summary, table
from xnorscan.reports.validation_picture import PICTURE, picture

DOCS = Path(__file__).parent
INDEX = """\
# Validation: the cost model beside published chips

![Our figure over the published one, low to high, for each chip](../images/{picture}.png)

{summary}.

{table}

```sh
xnorscan validate                    # this table
xnorscan validate yodann --json      # one chip, for a program
python docs/validation_pages.py      # these pages and the picture
```

## How to read it

A chip is described in YAML by what is public of it: the parts that work in a cycle, the memories and the bits through
their ports, node and voltage. Every line says whether it stands in the paper, in its authors' code, is arithmetic on
these, or is assumed. Of most papers only the abstract could be read, so much is assumed, and stands there as such.

No constant of the model was set with any of these chips in hand: prices of gates are Horowitz's and Aladdin's at 45 nm,
node and voltage go by Stillmaker & Baas, memories are CACTI's. No figure of a description was changed after its ratio
was first computed; had one been, its page would say what and why. But the published figures were known, and rough
estimates made by hand, while the descriptions were written: where a structure is assumed, this is no blind test.
LightMamba on the VCK190 is described from its authors' code alone, and comes nearest to one.

A *prediction* comes with a range and may be held to it. A *bound* says what the memory allows at most, where nothing is
known of the arithmetic: it holds if the published figure is not above it, and may be far from it.

## What is not in our figure

Wires between blocks, clock trees, control, leakage and glitches. In 65 nm, at 0.8 and 1.2 V, that is hidden within the
uncertainty of the gate prices. In 22 and 28 nm every figure is low, most where the voltage is lowest and where most
products share one operand: there take the energy per operation of a one-bit array as a lower estimate. Two of the
causes lie in the model and not in the descriptions. Leakage is missing, which weighs most near the threshold. And logic
is scaled from 45 nm by polynomials that fall steeply from the planar 32 nm to the FinFETs of 20 nm, while these chips
are planar: at 22 nm an int8 add costs about as much in our table as was published for 7 nm (Jouppi et al., ISCA 2021).
"""


def main() -> None:
    """Write the index, one page per chip, and ``images/validation.png``."""
    (DOCS / "validation").mkdir(exist_ok=True)
    for name, text in pages().items():
        (DOCS / "validation" / name).write_text(text, encoding="utf-8")
    with style():
        drawn = picture(everything())
    (DOCS / "images" / f"{drawn.name}.png").write_bytes(drawn.png)
    print(f"{DOCS / 'validation'}: {drawn.title}")


def everything() -> list[Prediction]:
    """All published figures of all chips."""
    return [each for name in chip_names() for each in predict(name)]


def pages() -> dict[str, str]:
    """File name → text."""
    names = {load_chip(name).name: name for name in chip_names()}
    found = everything()
    links = {chip: f"{name}.md" for chip, name in names.items()}
    index = INDEX.format(picture=PICTURE, summary=summary(found), table=table(found, links))
    return {"index.md": index} | {f"{name}.md": chip_page(name, predict(name)) for name in names.values()}


if __name__ == "__main__":
    main()
