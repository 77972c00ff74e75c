"""Lists of signed URLs in the formats that download programs read, each written as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape  # nosec B406 # writes XML, reads none

import orjson

from gygo_server import __version__


class Download(NamedTuple):
    """An archive to be fetched: the video's id, a file name for it, a signed URL, its bytes and SHA-256."""

    id: str
    resolution: str
    file: str
    url: str
    bytes: int
    sha256: str


class About(NamedTuple):
    """What a list is of, and until when its URLs are good (RFC 3339, UTC)."""

    release: str
    expires_at: str


#: Writes a list: a part of it for each of the lots that the downloads come in.
Write = Callable[[About, Iterable[list[Download]]], Iterator[bytes]]


class ListFormat(NamedTuple):
    """A format: its media type, how a saved file of it ends, and how it is written."""

    media_type: str
    suffix: str
    write: Write


def describe(download: Download, expires_at: str) -> bytes:
    """One download as JSON."""
    return orjson.dumps({**download._asdict(), "expires_at": expires_at})


def _ndjson(about: About, lots: Iterable[list[Download]]) -> Iterator[bytes]:
    """A JSON object a line."""
    for lot in lots:
        yield b"".join([describe(each, about.expires_at) + b"\n" for each in lot])


def _uri_list(about: About, lots: Iterable[list[Download]]) -> Iterator[bytes]:
    """RFC 2483, section 5; without its comments, which ``wget -i`` takes for URLs, and fails."""
    del about
    for lot in lots:
        yield "".join([f"{each.url}\r\n" for each in lot]).encode()


def _metalink(about: About, lots: Iterable[list[Download]]) -> Iterator[bytes]:
    """RFC 5854, which wants a file; without any, `aria2c` says that there is nothing to download, and is content."""
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'
        f"  <generator>gygo-server/{__version__}</generator>\n"
    ).encode()
    for lot in lots:
        yield "".join(
            [
                f'  <file name="{_attribute(each.file)}">\n'
                f"    <identity>{escape(each.id).translate(_NOT_XML)}</identity>\n"
                f"    <description>{about.release}, to be fetched until {about.expires_at}</description>\n"
                f"    <size>{each.bytes}</size>\n"
                f'    <hash type="sha-256">{each.sha256}</hash>\n'
                f"    <url>{escape(each.url)}</url>\n"
                "  </file>\n"
                for each in lot
            ]
        ).encode()
    yield b"</metalink>\n"


def _curl(about: About, lots: Iterable[list[Download]]) -> Iterator[bytes]:
    """What ``curl --config`` reads (curl(1), "-K"). One after the other, it would only tell of the last that fails."""
    options = ("parallel", "fail", "show-error", "no-progress-meter", "globoff")
    yield "\n".join([f"# {about.release}, until {about.expires_at}", *options, ""]).encode()
    for lot in lots:
        yield "".join([f'url = "{_quoted(each.url)}"\noutput = "{_quoted(each.file)}"\n' for each in lot]).encode()


#: What a video's name may hold and XML 1.0 may not (its section 2.2).
_NOT_XML = str.maketrans(dict.fromkeys("\ufffe\uffff", "\ufffd"))


def _attribute(text: str) -> str:
    return escape(text, {'"': "&quot;"})


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


#: By the names that the parameter `format` has for them; the first is the default.
FORMATS = {
    "ndjson": ListFormat("application/x-ndjson", "ndjson", _ndjson),
    "metalink": ListFormat("application/metalink4+xml", "meta4", _metalink),
    "uri-list": ListFormat("text/uri-list", "txt", _uri_list),
    "curl": ListFormat("text/x-curl-config", "curl", _curl),
}
