"""Published bytes over HTTP: entity tags from their hash, ranges (RFC 9110), `sendfile` from the disk cache."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from flask import Response, request
from werkzeug.wsgi import wrap_file

from gygo_server.api.answers import GUARDED, known_tag, not_modified
from gygo_server.api.auditing import note
from gygo_server.api.metering import expect
from gygo_server.api.problems import Problem, answer
from gygo_server.api.releases_in_paths import cache_control_of
from gygo_server.api.services import services
from gygo_server.catalogue.reader import ArchiveRow
from gygo_server.errors import FieldError
from gygo_server.library import Release
from gygo_server.model import Member

#: Up to so many bytes are read and sent at once: gunicorn's way to sendfile(2) takes ten system calls, and in a worker
#: with many threads each of them is a wait for the interpreter (measured: a frame of 36 KB is 12 % faster).
READ_BYTES = 256 << 10

_ONE_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,20})-([0-9]{0,20})|-([0-9]{1,20}))[ \t]*", re.IGNORECASE)

UNSATISFIABLE = Problem(416, "range-not-satisfiable", "The range lies outside of the file")


def send_member(release: Release, archive: ArchiveRow, member: Member, mimetype: str) -> Response:
    """A frame or mask as its publisher made it, or the part of it that the request asks for."""
    note(resolution=archive.resolution)
    digest = ("Repr-Digest", f"sha-256=:{base64.b64encode(bytes.fromhex(member.sha256)).decode()}:")  # RFC 9530
    return send_bytes(
        lambda start, stop: _body(release, archive, member, start, stop),
        size=member.size,
        etag=member.sha256,
        headers=[("Content-Type", mimetype), digest],
        cache_control=cache_control_of(release),
    )


def send_bytes(
    body: Callable[[int, int], Any],
    *,
    size: int,
    etag: str,
    headers: list[tuple[str, str]],
    cache_control: str,
) -> Response:
    """``size`` bytes that are known by ``etag``, or the range of them that the request asks for.

    ``body`` gives the bytes from the first to before the second of its arguments; it is not called when none are sent.

    Raises:
        QuotaExceededError: the caller's bytes of the day do not suffice.
    """
    known = known_tag(etag)
    if known is not None:
        return not_modified(known, cache_control)
    span = _requested_span(size, etag)
    start, stop = span or (0, size)
    if span and start >= stop:
        wanted = f"ask for bytes from 0 to {size - 1}" if size else "leave it out: there is nothing"
        problem = answer(UNSATISFIABLE, f"there are {size} bytes", [FieldError("headers", "Range", wanted)])
        problem.headers["Content-Range"] = f"bytes */{size}"
        return problem
    headers = [
        *headers,
        ("Content-Length", str(stop - start)),
        ("Accept-Ranges", "bytes"),
        ("ETag", f'"{etag}"'),
        ("Cache-Control", cache_control),
    ]
    if cache_control == GUARDED:
        headers.append(("Vary", "Authorization"))
    if span:
        headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
    expect(stop - start)
    content = None if request.method == "HEAD" else body(start, stop)
    return Response(content, 206 if span else 200, headers, direct_passthrough=True)


def _body(release: Release, archive: ArchiveRow, member: Member, start: int, stop: int) -> Any:
    file, offset = services().archives.open_member(release.dataset.id, archive.sha256, archive.size, member)
    file.seek(offset + start)
    if stop - start <= READ_BYTES:
        with file:
            return file.read(stop - start)
    # gunicorn sends Content-Length bytes from where the file stands, by sendfile(2).
    return wrap_file(request.environ, file)


def _requested_span(size: int, etag: str) -> tuple[int, int] | None:
    """First byte and end of the range asked for, an empty one when it lies outside; None when the whole is to be sent.

    Several ranges at once, other units and a failed If-Range are answered with the whole, as RFC 9110 allows.
    """
    headers = request.headers
    # RFC 9110 defines ranges for GET; where a POST only carries a large question, they mean the same.
    if "Range" not in headers or request.method == "HEAD":
        return None
    # Not werkzeug's parser: it takes "-0" for "0-", and a suffix longer than the file for one outside of it.
    wanted = _ONE_RANGE.fullmatch(headers["Range"])
    # A weak tag never matches, nor does a date, as these files have none.
    if wanted is None or ("If-Range" in headers and headers["If-Range"].strip() != f'"{etag}"'):
        return None
    first, last, suffix = wanted.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    if last and int(last) < int(first):
        return None  # "5-2" is no range
    return int(first), min(int(last) + 1, size) if last else size
