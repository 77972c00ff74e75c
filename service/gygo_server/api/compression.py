"""gzip, br and zstd for what compresses; pictures and archives go past it untouched."""

from __future__ import annotations

from flask import Flask, Response
from flask_compress import Compress


def register(app: Flask) -> None:
    """Compress text and JSON as the client accepts it. The encodings' entity tags differ by a suffix (`tag:br`)."""
    app.config["COMPRESS_REGISTER"] = False
    compress = Compress(app)

    @app.after_request
    def after(response: Response) -> Response:
        if response.direct_passthrough:
            return response
        compressed: Response = compress.after_request(response)
        return compressed
