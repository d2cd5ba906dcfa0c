"""Where a run writes until it has ended well: aside, in a folder of its own.

So a run that fails or is killed leaves what an earlier one finished as it was.
"""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_json, written
from .planning import Planned
from .study import Study

#: In a study's folder; gone when no run is under way.
RUNNING = ".running"


class Stage:
    """The folder in which one run of a study writes.

    Parameters
    ----------
    study : Study
    planned : Planned
    """

    def __init__(self, study: Study, planned: Planned):
        self.study = study
        self.run = planned["run"]
        self.path = study.path / RUNNING / self.run.name
        self.result = self.path / "results" / f"{self.run.name}.json"
        self.notebook = self.path / "notebooks" / f"{self.run.name}.ipynb"
        self._planned = planned

    def open(self) -> dict[str, Any]:
        """Make the folder anew, with the results that the run needs; its parameters."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.notebook.parent.mkdir(parents=True)
        parameters = dict(self._planned["parameters"])
        own = f"{self.study.folder.as_posix()}/{RUNNING}/{self.run.name}"
        places = {
            "result": f"{own}/results/{self.run.name}.json",
            "figures": f"{own}/figures",
        }
        if self.run.needs:
            places["results"] = f"{own}/needs"
            self._bring_needs()
        return parameters | {k: v for k, v in places.items() if k in parameters}

    def _bring_needs(self) -> None:
        """Put the results of the runs needed, and of no other, where the run reads."""
        (self.path / "needs").mkdir()
        for name in self.run.needs:
            tables = self.study.results.glob(f"{name}.*.parquet")
            for path in [self.study.results / f"{name}.json", *tables]:
                try:
                    os.link(path, self.path / "needs" / path.name)
                except OSError:  # a file system without links
                    shutil.copyfile(path, self.path / "needs" / path.name)

    def in_place(self, text: str) -> str:
        """Return a text with the places that files have when the run has ended well."""
        own = f"{RUNNING}/{self.run.name}/"
        return text.replace(f"{own}needs", "results").replace(own, "")

    def keep_failed(self) -> Path:
        """Keep the executed copy of a run that failed, beside those that ended well."""
        failed = self.study.notebooks / f"{self.run.name}.failed.ipynb"
        with written(failed) as file:
            file.write(self.in_place(self.notebook.read_text("utf-8")))
        return failed

    def settle(self) -> list[Path]:
        """Move all that the run wrote to its place.

        Returns
        -------
        list of pathlib.Path
            Its result, its tables and the figures that its result names.
        """
        content = json.loads(self.result.read_text("utf-8"))
        figures = [self._final(self.study.root / f) for f in content["figures"]]
        content["figures"] = [os.path.relpath(f, self.study.root) for f in figures]
        write_json(self.result, content)
        with written(self.notebook) as file:
            file.write(self.in_place(self.notebook.read_text("utf-8")))
        shutil.rmtree(self.path / "needs", ignore_errors=True)
        for path in sorted(self.path.rglob("*")):
            if path.is_file():
                _move(path, self._final(path))
        result = self._final(self.result)
        tables = [
            result.with_name(f"{self.run.name}.{t}.parquet") for t in content["tables"]
        ]
        for path in result.parent.glob(f"{self.run.name}.*.parquet"):
            if path not in tables:  # of an earlier run that had more
                path.unlink()
        failed = self.study.notebooks / f"{self.run.name}.failed.ipynb"
        failed.unlink(missing_ok=True)
        return [result, *tables, *figures]

    def _final(self, path: Path) -> Path:
        """Return where a file goes: into the study's folder, if the run's holds it."""
        path = Path(os.path.abspath(path))
        if path.is_relative_to(self.path):
            return self.study.path / path.relative_to(self.path)
        return path

    def close(self) -> None:
        """Remove the folder, and the one above when no other run is under way."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self.path.parent.rmdir()


def _move(path: Path, target: Path) -> None:
    """Give a finished file its final place, in one step."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
    except OSError as error:
        raise InputError(
            f"cannot write {target}: {error.strerror or error}; free some space or"
            " choose a folder that you may write"
        ) from None
