"""Figures as files: three pictures and the numbers that they show."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import root, write_csv, written
from .style import STYLE

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Image
    from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png")
#: How wide a notebook shows a figure, in pixels.
SHOWN_WIDTH = 920


def save(
    figure: "Figure",
    name: str,
    numbers: "pd.DataFrame",
    folder: str | Path,
    run: str | None = None,
) -> list[str]:
    """Write a figure as SVG, PDF and PNG, and the table of what it shows as CSV.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
    numbers : pandas.DataFrame
        Exactly what is drawn; this is what `verify` compares.
    folder : path
    run : str, optional
        The run's id, written into the files' metadata.

    Returns
    -------
    list of str
        The files, relative to the checkout where they lie in it.
    """
    from matplotlib import rc_context

    folder = root() / folder
    # no date of the day in a file that is compared
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")
    metadata = _metadata(f"pickllm run {run}" if run else "pickllm")
    with rc_context(STYLE):
        lay_out(figure)
        for ending in FORMATS:
            with written(folder / f"{name}.{ending}", "wb") as file:
                figure.savefig(file, format=ending, metadata=metadata[ending])
    write_csv(folder / f"{name}.csv", numbers)
    return [
        os.path.relpath(folder / f"{name}.{ending}", root())
        for ending in (*FORMATS, "csv")
    ]


def _metadata(note: str) -> dict[str, dict[str, str | None]]:
    return {
        "svg": {"Date": None, "Creator": "pickllm", "Description": note},
        "pdf": {
            "CreationDate": None,
            "ModDate": None,
            "Creator": "pickllm",
            "Producer": "matplotlib",
            "Subject": note,
        },
        "png": {"Software": "pickllm", "Description": note},
    }


def lay_out(figure: "Figure") -> None:
    """Place everything once, not once a format."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = figure.get_layout_engine()
    if not isinstance(engine, ConstrainedLayoutEngine):
        return
    engine.set(w_pad=0.05, h_pad=0.05)
    # small letters are wider in print than on a coarse screen
    figure.set_dpi(STYLE["savefig.dpi"])
    # the second pass settles labels that the first one moved
    figure.draw_without_rendering()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def shown(saved: list[str]) -> "Image":
    """Return the last PNG among saved files, for a notebook to display."""
    from IPython.display import Image

    pictures = [name for name in saved if name.endswith(".png")]
    return Image(filename=str(root() / pictures[-1]), width=SHOWN_WIDTH)


def glance(figure: "Figure") -> "Image":
    """Return a figure as a notebook shows it while it grows; no file is written."""
    from IPython.display import Image
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(file, format="png", dpi=130)
    return Image(data=file.getvalue(), width=SHOWN_WIDTH)
