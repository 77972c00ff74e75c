"""``…/downloads``: signed URLs of archives in bulk, as lists for download programs, or in pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from flask import Response, request
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from pyroaring import BitMap
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable

from gygo_server.access.api_key import Action
from gygo_server.api import pages
from gygo_server.api.answers import EXPIRES_AT, PRIVATE, send
from gygo_server.api.arguments import (
    CURSOR,
    DEFAULT_LIMIT,
    MAX_ERRORS,
    MAX_LIMIT,
    Blueprint,
    BoundedList,
    Whole,
    expiry_parameter,
)
from gygo_server.api.auditing import noting_urls
from gygo_server.api.documented import also, answers, problems
from gygo_server.api.download_lists import FORMATS, About, Download, ListFormat, describe
from gygo_server.api.giving import give_urls
from gygo_server.api.metering import current_bill
from gygo_server.api.releases_in_paths import in_release
from gygo_server.api.schemas import DownloadPageSchema, DownloadSchema
from gygo_server.api.services import services
from gygo_server.api.video_filters import VideosFilterQuery, video_filter
from gygo_server.api.videos import sign_archives
from gygo_server.catalogue.video_query import VideoFilter
from gygo_server.errors import FieldError, InvalidQuestionError
from gygo_server.library import Release
from gygo_server.limits.bill import Bill
from gygo_server.model import video_id
from gygo_server.store.content_disposition import attachment
from gygo_server.store.signed_urls import Batch

blueprint = Blueprint(
    "downloads",
    __name__,
    url_prefix="/v1/datasets/<dataset>/releases/<release>",
    description="Signed URLs in bulk",
)

#: Videos that one question may name; more do not fit into its bytes.
MAX_VIDEOS = 100_000

#: Archives that are looked up, signed and sent at a time.
LOT = 1000


class DownloadsQuery(VideosFilterQuery):
    expires_in = expiry_parameter()
    format = fields.String(
        validate=validate.OneOf(list(FORMATS)),
        metadata={"description": "What the list is written as, whatever `Accept` says."},
    )
    limit = Whole(
        validate=validate.Range(1, MAX_LIMIT),
        metadata={"description": "A page of so many as JSON, instead of all in one list."},
    )
    cursor = fields.String(
        validate=validate.Length(1, 512),
        metadata={
            "description": "Where the page begins: taken from `next` of the page before, as it is.",
            "pattern": CURSOR,
        },
    )

    @validates_schema
    def _check_format(self, asked: dict[str, Any], **_: Any) -> None:
        if "format" in asked and not asked.keys().isdisjoint({"limit", "cursor"}):
            raise ValidationError("a page is JSON: leave out `format`, or `limit` and `cursor`", "format")


class DownloadsBody(Schema):
    videos = BoundedList(
        fields.String(validate=validate.Length(1, 1024)),
        length=validate.Length(1, MAX_VIDEOS),
        metadata={"description": "Ids or names of videos: only these, in the order of names."},
    )


TEXT = {"type": "string"}

_documented = (
    answers(200, DownloadPageSchema, description="A list as `Accept` or `format` asks, or a page of it."),
    also(200, DownloadSchema, content_type=FORMATS["ndjson"].media_type, description="An object a line."),
    *(also(200, TEXT, content_type=FORMATS[name].media_type) for name in ("metalink", "uri-list", "curl")),
    problems(406),
)


def _lists(view: Callable[..., Response]) -> Callable[..., Response]:
    """Document what both ways to ask answer."""
    for document in reversed(_documented):
        view = document(view)
    return view


@blueprint.route("/downloads", methods=["POST"])
@_lists
@problems(413, 415)
@in_release
@blueprint.query(DownloadsQuery)
@blueprint.body(DownloadsBody, optional=True)
def list_chosen_downloads(query: dict[str, Any], body: dict[str, Any], release: Release) -> Response:
    """Get signed URLs of archives, of all videos that the filters select or of those in the body.

    In one list, streamed, whose URLs are all of one release and good until one time: JSON lines, a Metalink for
    `aria2c -M`, URLs for `wget --content-disposition -i`, or a configuration for `curl -K`. Or, with `limit`, in pages:
    send the same body to `next`.
    """
    return _answer(query, release, body.get("videos"))


@blueprint.route("/downloads")
@_lists
@in_release
@blueprint.query(DownloadsQuery)
def list_downloads(query: dict[str, Any], release: Release) -> Response:
    """Get signed URLs of archives, of all videos that the filters select, as by the POST."""
    return _answer(query, release, None)


def _answer(query: dict[str, Any], release: Release, videos: list[str] | None) -> Response:
    release.require(Action.DOWNLOAD)  # before the first line of a list is sent
    chosen = video_filter(query, release)
    wanted = None if videos is None else _wanted(release, videos, query.get("resolution"))
    kind = None if "limit" in query or "cursor" in query else _format(query.get("format"))
    batch = services().signed_urls.batch(release.dataset.id, expires_in=query.get("expires_in"))
    archives = _Archives(release, chosen, wanted, query.get("resolution"), batch)
    response = _page(query, archives) if kind is None else _list(kind, archives)
    response.vary.add("Accept")
    return response


def _list(kind: ListFormat, archives: _Archives) -> Response:
    release, batch = archives.release, archives.batch
    about = About(f"{release.dataset.id}/{release.entry.id}", batch.expires_at)
    bill = current_bill()
    if bill is not None:
        bill.expect(archives.size() if bill.account.quota is not None else 0, archives.count())
    lots = noting_urls(archives.lots(bill), batch.expires_at)
    response = Response(kind.write(about, lots), mimetype=kind.media_type)
    name = f"{release.dataset.id}-{release.entry.id}.{kind.suffix}"
    response.headers["Content-Disposition"] = attachment(name).replace("attachment", "inline", 1)
    response.headers["Cache-Control"] = PRIVATE
    response.headers[EXPIRES_AT] = batch.expires_at
    return response


def _page(query: dict[str, Any], archives: _Archives) -> Response:
    release, limit = archives.release, query.get("limit", DEFAULT_LIMIT)
    among = hashlib.sha256(archives.wanted.serialize()).hexdigest() if archives.wanted is not None else None
    question = ["downloads", release.entry.catalogue_sha256, astuple(archives.chosen), query.get("resolution"), among]
    key = pages.read_cursor(query.get("cursor"), question, (int,))
    numbers = archives.numbers(key[0] if key else 0, limit + 1)
    shown = numbers[:limit]
    signed = archives.signed(shown)
    give_urls(signed, archives.batch.expires_at)
    page = pages.page(
        [describe(each, archives.batch.expires_at) for each in signed],
        after=[shown[-1]] if len(numbers) > len(shown) else None,
        question=question,
        total=archives.count(),
        immutable=False,
    )
    return send(page, None, PRIVATE)


@dataclass(frozen=True, slots=True)
class _Archives:
    """The archives that a question selects; ``wanted`` are the numbers of the videos that it names."""

    release: Release
    chosen: VideoFilter
    wanted: BitMap | None
    resolution: str | None
    batch: Batch

    def numbers(self, after: int, limit: int) -> Sequence[int]:
        return self.release.catalogue.ranks(self.chosen, after=after, limit=limit, among=self.wanted)

    def signed(self, numbers: Sequence[int]) -> list[Download]:
        return list(sign_archives(self.release, numbers, self.resolution, self.batch))

    def count(self) -> int:
        return self.release.catalogue.count(self.chosen, among=self.wanted)

    def size(self) -> int:
        """Bytes of all of them."""
        return self.release.catalogue.bytes_of_archives(self.chosen, self.resolution, among=self.wanted)

    def lots(self, bill: Bill | None) -> Iterator[list[Download]]:
        """All of them, a lot at a time; what has been given is noted on the bill."""
        after = 0
        while numbers := self.numbers(after, LOT):
            after = numbers[-1]
            signed = self.signed(numbers)
            if bill is not None:  # before they are sent: who hangs up may have read them
                bill.gave(sum(each.bytes for each in signed), len(signed))
            yield signed


def _format(asked: str | None) -> ListFormat | None:
    """The format of the list; None: a page, as JSON.

    Raises:
        NotAcceptable: the client takes none of them.
    """
    if asked is not None:
        return FORMATS[asked]
    by_type: dict[str, ListFormat | None] = {each.media_type: each for each in FORMATS.values()}
    by_type["application/json"] = None
    # "application/json; charset=utf-8" is meant as without, and "*" as "*/*".
    named = [(kind.split(";")[0].strip(), quality) for kind, quality in request.accept_mimetypes]
    accepted = MIMEAccept([("*/*" if kind == "*" else kind, quality) for kind, quality in named])
    best = accepted.best_match(by_type) if accepted else next(iter(by_type))
    if best is None:
        raise NotAcceptable(f"the list comes as {', '.join(by_type)}")
    return by_type[best]


def _wanted(release: Release, videos: list[str], resolution: str | None) -> BitMap:
    """The numbers of the videos that a body names.

    Raises:
        InvalidQuestionError: names each that there is not, or not at this resolution.
    """
    numbers = release.catalogue.numbers_of([video_id(each) for each in videos])
    having = release.catalogue.having(resolution) if resolution is not None else None
    wrong = []
    for place, (video, number) in enumerate(zip(videos, numbers, strict=True)):
        if number is None:
            wrong.append(FieldError("json", f"videos.{place}", f"there is no video {video!r} in this release"))
        elif having is not None and number not in having:
            wrong.append(FieldError("json", f"videos.{place}", f"video {video!r} has no resolution {resolution!r}"))
        if len(wrong) == MAX_ERRORS:
            break
    if wrong:
        raise InvalidQuestionError(wrong)
    return BitMap([number for number in numbers if number is not None])
