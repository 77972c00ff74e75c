"""Everything that this package raises on purpose.

GygoError
├── ServerError                 the service or the store answered with an error
│   ├── NotFoundError           no such dataset, release, video, frame … (404)
│   ├── WithdrawnError          the release was taken back (410)
│   └── InvalidRequestError     a parameter is wrong; the message names it (other 4xx)
├── UnreachableError            no answer, or none but "later", for as long as we were to try
├── CorruptDataError            bytes that are not those which were published
├── UnreadablePictureError      a frame or mask that cannot be decoded
├── EmptySourceError        nothing to train on: no video is selected, or all are too short
├── CacheUnavailableError       the local disk cache cannot hold a file
└── PullError                   a tree cannot be written as asked
"""

from __future__ import annotations


class GygoError(Exception):
    """The base of all: its text is a whole sentence for people."""


class ServerError(GygoError):
    """The service or the store answered with an error. ``status`` is HTTP's, ``type`` the problem's (RFC 9457)."""

    def __init__(self, message: str, *, status: int = 0, type: str = "about:blank") -> None:  # noqa: A002
        super().__init__(message)
        self.status = status
        self.type = type


class NotFoundError(ServerError):
    """There is no such thing."""


class WithdrawnError(ServerError):
    """The release was published once and has been withdrawn."""


class InvalidRequestError(ServerError):
    """The request cannot be answered as it is."""


class UnreachableError(GygoError):
    """No answer, or none but "come back later", for as long as we were to try."""


class CorruptDataError(GygoError):
    """Bytes that are not those which were published."""


class UnreadablePictureError(GygoError):
    """A frame or a mask that cannot be decoded."""


class EmptySourceError(GygoError):
    """Nothing to train on: no video is selected, or all are too short for a clip."""


class CacheUnavailableError(GygoError):
    """The disk cache cannot hold this file: the disk is full, read-only, or the file is larger than the cache."""


class PullError(GygoError):
    """A tree cannot be written as asked; nothing that was there is lost."""
