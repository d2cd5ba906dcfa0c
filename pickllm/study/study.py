"""A study: where its results, notebooks, figures and report stand."""

from dataclasses import dataclass
from pathlib import Path

from ..files import root


@dataclass(frozen=True)
class Study:
    """A folder of runs, and the checkout (or working folder) that it belongs to.

    Parameters
    ----------
    root : pathlib.Path
        Where ``figures/``, the record, stands, and where relative paths start.
    folder : pathlib.Path
        Where this study's runs leave what they make; relative to `root`.

    Examples
    --------
    >>> study = Study(Path("/kit"), Path("build"))
    >>> study.results.as_posix(), study.record.as_posix()
    ('/kit/build/results', '/kit/figures')
    """

    root: Path
    folder: Path

    @classmethod
    def here(cls, folder: str | Path = "build") -> "Study":
        """Return the study in a folder of the checkout that the kit stands in."""
        return cls(root(), Path(folder))

    @property
    def path(self) -> Path:
        """The study's folder."""
        return self.root / self.folder

    @property
    def results(self) -> Path:
        """Result files, tables and stamps of its runs."""
        return self.path / "results"

    @property
    def notebooks(self) -> Path:
        """The executed notebooks."""
        return self.path / "notebooks"

    @property
    def figures(self) -> Path:
        """The figures that its runs drew, with their numbers and receipts."""
        return self.path / "figures"

    @property
    def report(self) -> Path:
        """The report and the tables for a paper."""
        return self.path / "report"

    @property
    def record(self) -> Path:
        """The committed figures, which `reproduce` renews and `verify` compares."""
        return self.root / "figures"

    def stamp(self, run: str) -> Path:
        """Return the file that says what a finished run was made from."""
        return self.results / f"{run}.stamp"
