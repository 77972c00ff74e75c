"""Lists of downloads as others read them: by their formats' own descriptions, not by the code that writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

METALINK = "urn:ietf:params:xml:ns:metalink"
TYPES = {
    "ndjson": "application/x-ndjson",
    "metalink": "application/metalink4+xml",
    "uri-list": "text/uri-list",
    "curl": "text/x-curl-config",
}

#: What RFC 5854 allows once in a file, in any order, and how often the others.
_ONCE = {"copyright", "description", "identity", "logo", "publisher", "signature", "size", "version"}
_OFTEN = {"hash", "language", "metaurl", "os", "pieces", "url"}
#: What curl(1) says of quoted parameters: these escapes, and no others.
_CURL_LINE = re.compile(r'([a-z-]+)(?: = "((?:[^"\\\n]|\\[\\"tnrv])*)")?')


class Listed(NamedTuple):
    """What a list says of a download, None where its format cannot."""

    url: str
    file: str | None = None
    size: int | None = None
    sha256: str | None = None
    id: str | None = None


#: Of a configuration for curl, without values.
OPTIONS = {"parallel", "fail", "show-error", "no-progress-meter", "globoff"}


def read_ndjson(content: bytes) -> list[Listed]:
    assert content == b"" or content.endswith(b"\n")
    lines = [json.loads(line) for line in content.splitlines()]
    return [Listed(each["url"], each["file"], each["bytes"], each["sha256"], each["id"]) for each in lines]


def read_metalink(content: bytes) -> list[Listed]:
    """A Metalink, held against the schema of RFC 5854 (its appendix B) but for the least number of files."""
    assert content.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    root = ElementTree.fromstring(content)
    assert root.tag == f"{{{METALINK}}}metalink"
    files = [each for each in root if _name(each) == "file"]
    assert {_name(each) for each in root if each not in files} <= {"generator", "origin", "published", "updated"}
    return [_read_file(each) for each in files]


def _read_file(file: ElementTree.Element) -> Listed:
    names = [_name(each) for each in file]
    assert set(names) <= _ONCE | _OFTEN
    assert all(names.count(name) <= 1 for name in _ONCE)
    assert list(file.attrib) == ["name"]
    assert not {"..", ".", ""} & set(file.attrib["name"].split("/"))
    (hashed,) = [each for each in file if _name(each) == "hash"]
    assert hashed.attrib == {"type": "sha-256"}  # of IANA's registry of hash function textual names
    (url,) = [each.text for each in file if _name(each) == "url"]
    told = {_name(each): each.text for each in file}
    assert url
    assert told["size"]
    return Listed(url, file.attrib["name"], int(told["size"]), hashed.text, told["identity"])


def _name(element: ElementTree.Element) -> str:
    return element.tag.removeprefix(f"{{{METALINK}}}")


def read_uri_list(content: bytes) -> list[Listed]:
    """RFC 2483: a URI a line, each line ended by CR LF; comments begin with ``#``."""
    lines = content.decode("ascii").split("\r\n")
    assert lines.pop() == ""
    assert all(urlsplit(line).scheme and "\n" not in line for line in lines)
    return [Listed(line) for line in lines if not line.startswith("#")]


def read_curl(content: bytes) -> list[Listed]:
    """curl(1), ``-K``: an option a line, in quotes what holds blanks."""
    found: list[Listed] = []
    for line in content.decode().split("\n"):
        if not line or line.startswith("#"):
            continue
        match = _CURL_LINE.fullmatch(line)
        assert match, line
        option, value = match[1], re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else None
        if option == "url":
            assert value
            found.append(Listed(value))
        elif option == "output":
            assert found[-1].file is None
            found[-1] = found[-1]._replace(file=value)
        else:
            assert (option, value) in {(each, None) for each in OPTIONS}
    assert all(each.file for each in found)
    return found


READERS: dict[str, Callable[[bytes], list[Listed]]] = {
    "ndjson": read_ndjson,
    "metalink": read_metalink,
    "uri-list": read_uri_list,
    "curl": read_curl,
}


def sha256_of(listed: Listed) -> str:
    """That of the archive, whose object is named after it."""
    return urlsplit(listed.url).path.rsplit("/", 1)[1].removesuffix(".tar")


def life_of(listed: Listed) -> tuple[str, int]:
    """When the URL was signed, and for how many seconds."""
    query = parse_qs(urlsplit(listed.url).query)
    return query["X-Amz-Date"][0], int(query["X-Amz-Expires"][0])
