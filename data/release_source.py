"""The files of an IPD-IMGT/HLA release, from a folder or over HTTP, with published checksums."""

from __future__ import annotations

import hashlib
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path

from data.release_files import OPTIONAL_FILES, REQUIRED_FILES
from matching.errors import ReleaseSourceError

PUBLIC_REPOSITORY = "https://raw.githubusercontent.com/ANHIG/IMGTHLA"
CHECKSUMS = "md5checksum.txt"
ATTEMPTS = 4
FIRST_DELAY_SECONDS = 0.25
TIMEOUT_SECONDS = 30
MAX_FILE_BYTES = 200 * 1024 * 1024


def public_source(release: str) -> str:
    """Where the public repository keeps a release: the branch of 3.58.0 is 3580."""
    return f"{PUBLIC_REPOSITORY}/{release.replace('.', '')}"


def read_source(
    source: str, skip_checksums: bool, progress: Callable[[str], None]
) -> dict[str, bytes]:
    """Contents of the required files and of the optional ones that are present.

    Where the source publishes `md5checksum.txt`, every file that it lists is checked.
    Raises `ReleaseSourceError`.
    """
    if re.match(r"https?://", source):
        base = source.rstrip("/")

        def read(name: str) -> bytes | None:
            progress(name)
            return _download(f"{base}/{name}")
    else:
        folder = Path(source)
        if not folder.is_dir():
            raise ReleaseSourceError(
                f"{source} is no folder and no http(s) address; give the folder that holds wmda/"
            )

        def read(name: str) -> bytes | None:
            progress(name)
            return _read_file(folder / name)

    contents: dict[str, bytes] = {}
    for name in (*REQUIRED_FILES, *OPTIONAL_FILES):
        content = read(name)
        if content is None:
            if name in REQUIRED_FILES:
                raise ReleaseSourceError(f"{source} has no {name}; it is not a complete release")
            continue
        if content.startswith(b"version https://git-lfs"):
            raise ReleaseSourceError(
                f"{name} of {source} is a Git LFS pointer, not the file; fetch it with git lfs"
            )
        contents[name] = content
    if not skip_checksums:
        published = read(CHECKSUMS)
        _verify(source, contents, parse_checksums((published or b"").decode("utf-8", "replace")))
    return contents


def parse_checksums(text: str) -> dict[str, str]:
    """MD5 by file name, from lines `MD5 (NAME) = HEX` or `HEX  NAME`.

    >>> parse_checksums("MD5 (Allelelist.txt) = " + "a" * 32)
    {'Allelelist.txt': 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
    """
    bsd = re.findall(r"^MD5 \((.+)\) = ([0-9a-f]{32})\s*$", text, re.MULTILINE)
    gnu = re.findall(r"^([0-9a-f]{32}) [ *](.+?)\s*$", text, re.MULTILINE)
    return dict(bsd) | {name.removeprefix("./"): value for value, name in gnu}


def _verify(source: str, contents: Mapping[str, bytes], published: Mapping[str, str]) -> None:
    for name, content in contents.items():
        expected = published.get(name)
        # MD5 guards against a broken transfer here; it is what the source publishes.
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if expected is not None and found != expected:
            raise ReleaseSourceError(
                f"{name} of {source} does not agree with the published checksum; fetch it again, "
                "or add --skip-checksums if the publisher corrected the file afterwards"
            )


def _read_file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReleaseSourceError(f"cannot read {path}: {error.strerror}") from error


def _download(url: str) -> bytes | None:
    """The content of a URL, None where there is none; passing faults are tried again."""
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(FIRST_DELAY_SECONDS * 2 ** (attempt - 1))
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
                content: bytes = answer.read(MAX_FILE_BYTES + 1)
                expected = answer.headers.get("Content-Length")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            if error.code < 500 and error.code != 429:
                raise ReleaseSourceError(f"{url}: HTTP {error.code} {error.reason}") from error
            reason = f"HTTP {error.code}"
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", "") or error) or type(error).__name__
        else:
            if len(content) > MAX_FILE_BYTES:
                raise ReleaseSourceError(f"{url} is larger than any file of a release")
            # A bounded read does not notice by itself that the connection broke off.
            if expected is None or len(content) == int(expected):
                return content
            reason = f"{len(content)} of {expected} bytes"
    raise ReleaseSourceError(
        f"{url}: {reason}, {ATTEMPTS} attempts; check the network, or download the release and "
        "give its folder with --from"
    )
