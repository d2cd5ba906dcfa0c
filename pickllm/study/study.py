"""A study: where its results, notebooks, figures and report stand."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from ..files import checkout, root

#: The trace of the record, and the one of the second pool that it is checked against.
TRACE = "bfcl-2024-08-11"
SECOND_TRACE = f"{TRACE}-second"


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
    def here(cls, folder: str | Path | None = None) -> "Study":
        """Return the study in a folder.

        Parameters
        ----------
        folder : path, optional
            Relative paths start at the current folder. By default ``build`` of the
            checkout that the kit stands in; for an installed kit ``pickllm-study`` of
            the current folder.
        """
        if folder is None:
            return cls(root(), Path("build" if checkout() else "pickllm-study"))
        path = Path(os.path.abspath(folder))
        if path.is_relative_to(root()):
            path = path.relative_to(root())
        return cls(root(), path)

    def inside(self, name: str) -> "Study":
        """Return the study in a folder of this one's."""
        return replace(self, folder=self.folder / name)

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

    @property
    def renews_record(self) -> bool:
        """Whether it is the one that may write the record: ``build`` of a checkout."""
        return self.root == checkout() and self.folder == Path("build")

    def stamp(self, run: str) -> Path:
        """Return the file that says what a finished run was made from."""
        return self.results / f"{run}.stamp"
