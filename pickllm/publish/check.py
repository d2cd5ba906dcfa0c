"""Comparing a study's numbers with the committed ones."""

from pathlib import Path

from ..study.study import Study
from .cells import TOLERANCE, first_difference, read_cells
from .record import committed, listed

__all__ = ["TOLERANCE", "compare"]


def compare(study: Study | str | Path) -> list[tuple[str, str | None, int]]:
    """Compare each figure's CSV with the committed one.

    Parameters
    ----------
    study : Study, or path of a folder of figures

    Returns
    -------
    list of (str, str or None, int)
        Name, the first difference or None, and the number of rows.
    """
    if isinstance(study, Study):
        figures = study.figures
    else:
        figures = Path(study)
        study = Study.here()
    paths = {path.stem: path for path in (study.root / figures).glob("*.csv")}
    record = {Path(name).stem for name in listed(study) if name.endswith(".csv")}
    rows = []
    for name in sorted(set(paths) | record):
        content = committed(study, f"{name}.csv")
        if content is None:
            rows.append((name, "not committed", 0))
        elif name not in paths:
            rows.append((name, "not regenerated", 0))
        else:
            expected = read_cells(f"the committed {name}.csv", content)
            regenerated = read_cells(str(paths[name]), paths[name].read_bytes())
            difference = first_difference(expected, regenerated)
            rows.append((name, difference, len(regenerated)))
    return rows
