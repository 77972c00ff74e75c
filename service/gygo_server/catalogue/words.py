"""The words of a text, as ``q`` finds them: letters and digits of any script, without case and accents."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")

#: Begins no word, and sorts behind all that do: every word with a prefix is below the prefix and this.
LAST = "\U0010ffff"


def words_of(text: str) -> list[str]:
    """Each word as often as it stands there, in order."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return _WORD.findall(plain.casefold())
