"""Video object segmentation data sets from a GyGO server.

>>> release = gygo.connect("http://127.0.0.1:8000").release("gygo-multi")      # doctest: +SKIP
>>> video = release.videos(split="train")[0]                                   # doctest: +SKIP
>>> video.frame(0).shape, video.mask(0).shape                                  # doctest: +SKIP
((480, 854, 3), (480, 854))

:func:`connect` leads to everything; :class:`Clips` (and :class:`gygo.torch.Clips`) draw training clips.
"""

from gygo.client import Archive, Client, Dataset, Release, Video, Videos, connect
from gygo.clip import Clip, ClipRequest
from gygo.clips import Clips
from gygo.errors import (
    CacheUnavailableError,
    CorruptDataError,
    EmptySourceError,
    GygoError,
    InvalidRequestError,
    NotFoundError,
    PullError,
    ServerError,
    UnreachableError,
    UnreadablePictureError,
    WithdrawnError,
)
from gygo.listing import Listing

__all__ = [
    "Archive",
    "CacheUnavailableError",
    "Client",
    "Clip",
    "ClipRequest",
    "Clips",
    "CorruptDataError",
    "Dataset",
    "EmptySourceError",
    "GygoError",
    "InvalidRequestError",
    "Listing",
    "NotFoundError",
    "PullError",
    "Release",
    "ServerError",
    "UnreachableError",
    "UnreadablePictureError",
    "Video",
    "Videos",
    "WithdrawnError",
    "connect",
]
__version__ = "0.1.0"
