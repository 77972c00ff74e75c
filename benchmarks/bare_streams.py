"""The peer: Flask and nothing else, on the same gunicorn. It streams a file that is in memory already."""

import os
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response

LINES = Path(os.environ["BARE_LINES"]).read_bytes().splitlines(keepends=True)
BLOCK = 64 << 10

app = Flask(__name__)
_content = b"".join(LINES)


@app.route("/lines", methods=["GET", "POST"])
def lines() -> Response:
    """A line at a time: the plainest code there is."""

    def body() -> Iterator[bytes]:
        yield from LINES

    return Response(body(), mimetype="application/x-ndjson")


@app.route("/blocks", methods=["GET", "POST"])
def blocks() -> Response:
    """The same bytes in blocks of 64 KiB."""

    def body() -> Iterator[bytes]:
        for start in range(0, len(_content), BLOCK):
            yield _content[start : start + BLOCK]

    return Response(body(), mimetype="application/x-ndjson")
