"""Downloads: a pinned file from an address or a folder, checked by its SHA-256."""

import hashlib
import pathlib
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..errors import InputError, MissingFileError
from ..files import written


def bring(url: str, path: str, folder: pathlib.Path, sha: str) -> None:
    """Bring one file from an address or a folder; one that is here already stays.

    Parameters
    ----------
    url : str
        Where the source's layout stands: http, https or a folder.
    path : str
        The file's place in that layout, and in `folder`.
    folder : path
    sha : str
        Its SHA-256.

    Raises
    ------
    MissingFileError
        A folder without the file.
    InputError
        The checksum differs, the address does not answer, or nothing can be written.
    """
    (_copy if _folder_of(url) else _download)(url, path, folder, sha)


def sha256(content: bytes) -> str:
    """Return a content's SHA-256.

    Examples
    --------
    >>> sha256(b"")[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(content).hexdigest()


def _folder_of(url: str) -> pathlib.Path | None:
    """Return the folder that a mirror is; None where it is not on this disk."""
    if url.startswith("file:"):
        return pathlib.Path(url2pathname(urlsplit(url).path))
    return None if "://" in url else pathlib.Path(url)


def _download(url: str, path: str, folder: pathlib.Path, sha: str) -> None:
    """Bring one file from an address; one that is here, and as it should be, stays."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    address = f"{url.rstrip('/')}/{path}"
    target = folder / path
    try:
        pooch.retrieve(address, known_hash=sha, fname=target.name, path=target.parent)
    except requests.exceptions.RequestException as error:
        raise InputError(
            f"cannot download {address} ({type(error).__name__}); check the network, or"
            f" set PICKLLM_MIRROR to a mirror. What arrived is kept in {folder}: the"
            " same command goes on from there"
        ) from error
    except ValueError as error:  # the hash differs, and pooch has deleted the file
        raise _differs(address, sha) from error
    except OSError as error:
        raise InputError(
            f"cannot write {target}: {error.strerror or error}; free some space or set"
            " PICKLLM_CACHE"
        ) from error


def _copy(url: str, path: str, folder: pathlib.Path, sha: str) -> None:
    """Bring one file from a folder; one that is here, and as it should be, stays."""
    target = folder / path
    if target.exists() and sha256(target.read_bytes()) == sha:
        return
    source = pathlib.Path(_folder_of(url) or url) / path
    if not source.exists():
        raise MissingFileError(
            f"no file {source}; PICKLLM_MIRROR must hold the source's layout: it has"
            f" {path}"
        )
    content = source.read_bytes()
    if sha256(content) != sha:
        raise _differs(str(source), sha)
    with written(target, "wb") as file:
        file.write(content)


def _differs(where: str, expected: str) -> InputError:
    return InputError(
        f"checksum of {where} differs from the pinned SHA-256 {expected[:12]}...; the"
        " source has changed or the download is damaged: try again, or use another"
        " mirror"
    )
