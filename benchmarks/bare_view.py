"""The peer: Flask and nothing else, on the same gunicorn. A constant body, and `send_file` of one file."""

import os
from pathlib import Path

from flask import Flask, Response, send_file

PAGE = Path(os.environ["BARE_PAGE"])
FRAME = Path(os.environ["BARE_FRAME"])

app = Flask(__name__)
_body = PAGE.read_bytes()


@app.get("/page")
def page() -> Response:
    return Response(_body, mimetype="application/json")


@app.get("/frame")
def frame() -> Response:
    return send_file(FRAME, mimetype="image/jpeg")
