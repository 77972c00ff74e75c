"""gzip, br and zstd for what compresses; pictures and archives go past it untouched."""

from __future__ import annotations

from flask import Flask, Response, request
from flask_compress import Compress

from gygo_server.api.download_lists import FORMATS


def register(app: Flask) -> None:
    """Compress text and JSON as the client accepts it. The encodings' entity tags differ by a suffix (`tag:br`)."""
    app.config["COMPRESS_REGISTER"] = False
    # It would look at If-Match once more, and know neither `*` nor that an encoding is of the same answer.
    app.config["COMPRESS_EVALUATE_CONDITIONAL_REQUEST"] = False
    app.config["COMPRESS_ALGORITHM_STREAMING"] = app.config["COMPRESS_ALGORITHM"] = ["zstd", "br", "gzip", "deflate"]
    compress = Compress(app)
    compress.compress_mimetypes_set |= {each.media_type for each in FORMATS.values()}

    @app.after_request
    def after(response: Response) -> Response:
        if response.direct_passthrough:
            return response
        if ";q=0" in request.headers.get("Accept-Encoding", "") and not _accepts_any():
            response.vary.add("Accept-Encoding")
            return response
        compressed: Response = compress.after_request(response)
        return compressed


def _accepts_any() -> bool:
    """Whether there is an encoding that is not refused: Flask-Compress takes ``gzip;q=0`` for a wish."""
    return any(quality > 0 for _, quality in request.accept_encodings)
