"""Files that appear whole or not at all. Every room may use it, as it may use `errors`.

A file is written under a name of its own beside its place, and moved there. The name says which process writes it, so that
the next run can remove what a killed one left behind.
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
"""Names of what is being written, and of folders that are set aside for it: hidden, and no scans."""
_FORGOTTEN = 7 * 24 * 3600.0  # seconds after which a part is nobody's, whoever began it


def write_whole(content: bytes, path: str | os.PathLike[str], *, private: bool = False) -> None:
    """Write a file beside its place and move it there: readers see the old file or the new one, never a part.

    Args:
        content: of the file.
        path: an existing file is replaced, and its permissions are kept.
        private: for the user alone.

    Raises:
        SynthesisError: "cannot-write" if the folder is missing or refuses the file; nothing is left behind.
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
        _removed(part)


def part_beside(target: Path, suffix: str = "") -> Path:
    """The name under which a file is written before it gets its own."""
    return target.with_name(f"{_our_own()}.part{suffix}")


def aside(target: Path) -> Path:
    """The name that an existing folder has while another one takes its place."""
    return target.with_name(f"{_our_own()}.aside-{target.name}")


def remove_forgotten(folder: Path) -> None:
    """Remove what killed runs left in a folder, and put back what they had set aside; what a living process writes stays."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            found = PART.fullmatch(entry.name)
            if found and _is_forgotten(entry, found["host"], int(found["pid"])):
                if found["aside"] and not os.path.lexists(folder / found["aside"]):
                    Path(entry.path).rename(folder / found["aside"])
                _removed(Path(entry.path))


def put_in_place(parts: Sequence[Path], targets: Sequence[Path], *, overwrite: bool) -> None:
    """Give files their names: all of them, or none, and then what was there before is there again.

    Args:
        parts: files that are complete, each in the folder of its target.
        targets: their names.
        overwrite: whether existing files may be replaced; their permissions are kept.

    Raises:
        FileExistsError: without `overwrite`, somebody else wrote one of the files meanwhile.
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
                    done.pop()  # it is not ours
                    raise
    except BaseException:
        for target, old in reversed(done):
            with contextlib.suppress(OSError):
                _put_back(target, old)
        raise
    for _, old in done:
        if old:
            _removed(old)


def _put_aside(target: Path) -> Path | None:
    """A second name for an existing file, None where there is none; readers find it under its own until it is replaced."""
    if not target.exists():
        return None
    old = part_beside(target)
    try:
        os.link(target, old)
    except OSError:  # a file system without second names; moved away, it would be lost where this process is killed
        shutil.copy2(target, old)
    return old


def _put_back(target: Path, old: Path | None) -> None:
    if old is None:
        target.unlink(missing_ok=True)
    elif target.exists() and target.samefile(old):  # not replaced yet; moving one over the other would leave both
        old.unlink()
    else:
        old.replace(target)


def _place_new(part: Path, target: Path) -> None:
    """Move a file to a name that nobody has; FileExistsError if somebody does."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without second names: the name is taken first, then filled
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        part.replace(target)
    else:
        _removed(part)


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
    try:  # one that has ended, and that nobody has asked for its end, is still listed
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return True


def _our_own() -> str:
    """How names begin that this process gives."""
    return f".ctslices-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _host() -> str:
    return hashlib.blake2b(platform.node().encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def _removed(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():  # see whole_folder
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
