"""The header ``Content-Disposition`` that makes a browser save an answer under a name (RFC 6266)."""

from __future__ import annotations

import re
from urllib.parse import quote

#: Names that every browser takes as they are. Not %: some decode it in a plain `filename`.
_PLAIN = re.compile(r"[A-Za-z0-9 !#$&+.^_`|~{}()\[\]@=,;'-]+").fullmatch
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 !#$&+.^_`|~{}()\[\]@=,;'-]")
#: What RFC 8187 leaves unescaped.
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"


def attachment(filename: str) -> str:
    """The header's value, in ASCII, for a file name of any characters.

    A name beyond plain ASCII is given twice: as it is, by RFC 8187, and with ``_`` for what old programs cannot read.
    Folders, control characters and what cannot be seen become ``_`` in both.
    """
    if _PLAIN(filename):
        return f'attachment; filename="{filename}"'
    name = "".join(each if each.isprintable() and each not in "/\\" else "_" for each in filename) or "_"
    fallback = _NOT_PLAIN.sub("_", name)
    if fallback == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE_CHARACTERS)}"
