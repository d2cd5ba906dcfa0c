"""Check every file of an unpacked archive against SHA256SUMS; the standard library is all it needs.

A copy stands at the top of each archive: ``python verify_archive.py`` there.
"""

import hashlib
import pathlib
import sys

SUMS = "SHA256SUMS"


def problems(folder):
    """Files of the list that are missing or changed.

    Parameters
    ----------
    folder : path
        The unpacked archive.

    Returns
    -------
    (list of str, int)
        One line per wrong file, and how many files the list holds.
    """
    folder = pathlib.Path(folder)
    wrong, lines = [], (folder / SUMS).read_text("utf-8").splitlines()
    for line in lines:
        expected, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file():
            wrong.append(f"missing: {name}")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            wrong.append(f"changed: {name}")
    return wrong, len(lines)


def main():
    """Check the folder that this file stands in; exit 0 if all is as packed, 1 if not, 2 without a list."""
    folder = pathlib.Path(__file__).resolve().parent
    if not (folder / SUMS).exists():
        print(
            f"verify_archive: no {SUMS} in {folder}; run this at the top of an unpacked"
            " archive",
            file=sys.stderr,
        )
        return 2
    wrong, n = problems(folder)
    for line in wrong:
        print(line)
    print(f"{n - len(wrong)} of {n} files as packed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
