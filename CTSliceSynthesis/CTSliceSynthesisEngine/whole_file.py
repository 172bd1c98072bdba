"""Atomic file writes. Usable from every subpackage, like `errors`.

A file is written under a temporary name next to its target, then renamed. The temporary name identifies the writing
process, so that the next run can remove what a killed one left behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import stat
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from .errors import SynthesisError

PART = re.compile(r"\.ctslices-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.(part.*|aside-(?P<aside>.+))")
"""Names of files being written, and of folders moved aside for them: hidden, and never taken for scans."""
_FORGOTTEN = 7 * 24 * 3600.0  # seconds after which a part is abandoned, whichever process began it


def write_whole(content: bytes, path: str | os.PathLike[str], *, private: bool = False) -> None:
    """Write a file atomically: readers see the old file or the new one, never a partial one.

    Args:
        content: of the file.
        path: an existing file is replaced and its permissions are kept.
        private: make the file readable and writable by the user only.

    Raises:
        SynthesisError: "cannot-write" if the folder is missing or not writable; nothing is left behind.
    """
    target = Path(os.path.realpath(path))
    part = part_beside(target)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(part, flags, 0o600 if private else 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _keep_permissions(part, target)
        part.replace(target)
    except OSError as error:
        message = f"The file {target} could not be written completely: {error.strerror}"
        raise SynthesisError("cannot-write", f"{message}; choose another place or free some space.") from error
    finally:
        _remove(part)


def part_beside(target: Path, suffix: str = "") -> Path:
    """Return the temporary path under which `target` is written."""
    return target.with_name(f"{_temporary_stem()}.part{suffix}")


def aside(target: Path) -> Path:
    """Return the path that an existing folder `target` is moved to while it is being replaced."""
    return target.with_name(f"{_temporary_stem()}.aside-{target.name}")


def remove_forgotten(folder: Path) -> None:
    """Remove what killed runs left in a folder and restore what they moved aside; files of running processes stay."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            match = PART.fullmatch(entry.name)
            if match and _is_forgotten(entry, match["host"], int(match["pid"])):
                if match["aside"] and not os.path.lexists(folder / match["aside"]):
                    Path(entry.path).rename(folder / match["aside"])
                _remove(Path(entry.path))


def put_in_place(parts: Sequence[Path], targets: Sequence[Path], *, overwrite: bool) -> None:
    """Rename files to their final names: either all of them, or none, with the previous files restored.

    Args:
        parts: complete files, each in the folder of its target.
        targets: their final paths.
        overwrite: whether existing files may be replaced; their permissions are kept.

    Raises:
        FileExistsError: without `overwrite`, another process wrote one of the files in the meantime.
        OSError: the files cannot be moved.
    """
    done: list[tuple[Path, Path | None]] = []
    try:
        for part, target in zip(parts, targets, strict=True):
            old = _put_aside(target) if overwrite else None
            done.append((target, old))
            if overwrite:
                _keep_permissions(part, target)
                part.replace(target)
            else:
                try:
                    _place_new(part, target)
                except FileExistsError:
                    done.pop()  # written by another process
                    raise
    except BaseException:
        for target, old in reversed(done):
            with contextlib.suppress(OSError):
                _put_back(target, old)
        raise
    for _, old in done:
        if old:
            _remove(old)


def _put_aside(target: Path) -> Path | None:
    """Hard-link an existing file to a second name and return it, None if there is no file; readers see it until replaced."""
    if not target.exists():
        return None
    old = part_beside(target)
    try:
        os.link(target, old)
    except OSError:  # no hard links on this file system; moving the file would lose it if this process is killed
        shutil.copy2(target, old)
    return old


def _put_back(target: Path, old: Path | None) -> None:
    if old is None:
        target.unlink(missing_ok=True)
    elif target.exists() and target.samefile(old):  # not replaced yet; renaming one onto the other would leave both
        old.unlink()
    else:
        old.replace(target)


def _place_new(part: Path, target: Path) -> None:
    """Move a file to an unused name; raise FileExistsError if the name is in use."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system: reserve the name first, then fill it
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        part.replace(target)
    else:
        _remove(part)


def _keep_permissions(part: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        part.chmod(stat.S_IMODE(target.stat().st_mode))


def _is_forgotten(entry: os.DirEntry[str], host: str, pid: int) -> bool:
    if host == _host() and not _is_alive(pid):
        return True
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _FORGOTTEN


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    try:  # a zombie is still listed
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return True


def _temporary_stem() -> str:
    """Return a unique stem for temporary names of this process."""
    return f".ctslices-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _host() -> str:
    return hashlib.blake2b(platform.node().encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():  # see whole_folder
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
