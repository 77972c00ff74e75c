"""``/v1/datasets``: which datasets there are, and their releases."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Response
from marshmallow import fields, validate

from gygo_server.api import pages
from gygo_server.api.answers import GUARDED, REVALIDATE, Answer, known_tag, not_modified, question_etag, send
from gygo_server.api.arguments import Blueprint, Nothing, Page, chosen_fields
from gygo_server.api.callers import caller
from gygo_server.api.documented import answers, may_be_not_modified, problems
from gygo_server.api.links import dataset_url, release_url
from gygo_server.api.schemas import DatasetPageSchema, DatasetSchema, names_of
from gygo_server.api.services import base_url, services
from gygo_server.model import Dataset
from gygo_server.store import dataset_file

blueprint = Blueprint("datasets", __name__, url_prefix="/v1", description="Datasets and their releases")


class DatasetsQuery(Page):
    q = fields.String(
        validate=validate.Length(1, 200), metadata={"description": "Part of the id or the title, in any case."}
    )
    sort = fields.String(
        load_default="id", validate=validate.OneOf(["id", "-id"]), metadata={"description": "`-` turns it round."}
    )
    chosen = chosen_fields(names_of(DatasetSchema))


@blueprint.route("/datasets")
@answers(200, DatasetPageSchema)
@may_be_not_modified
@problems(422, 503)
@blueprint.query(DatasetsQuery)
def list_datasets(query: dict[str, Any]) -> Response:
    """List the datasets."""
    wanted = query.get("q", "").casefold()
    found = [
        dataset
        for dataset in services().library.datasets(caller())
        if wanted in dataset.id.casefold() or wanted in dataset.title.casefold()
    ]
    descending = query["sort"].startswith("-")
    question = ["datasets", query["sort"], wanted]
    key = pages.read_cursor(query.get("cursor"), question, (str,))
    found.sort(key=lambda dataset: dataset.id, reverse=descending)
    rest = [dataset for dataset in found if key is None or (dataset.id < key[0] if descending else dataset.id > key[0])]
    shown = rest[: query["limit"]]
    after: list[int | str] | None = [shown[-1].id] if len(rest) > len(shown) else None
    items = [pages.only(_describe(dataset), query.get("chosen")) for dataset in shown]
    return _send(pages.page(items, after=after, question=question, total=len(found)), found)


class DatasetQuery(Nothing):
    chosen = chosen_fields(names_of(DatasetSchema))


@blueprint.route("/datasets/<dataset>")
@answers(200, DatasetSchema)
@may_be_not_modified
@problems(404, 422, 503)
@blueprint.query(DatasetQuery)
def get_dataset(query: dict[str, Any], dataset: str) -> Response:
    """Get one dataset with its releases."""
    found = services().library.dataset(dataset, caller())
    return _send(Answer(pages.only(_describe(found), query.get("chosen"))), [found])


def _send(answer: Answer, shown: list[Dataset]) -> Response:
    """Datasets change when a release comes out, so their answers are asked for again each time."""
    digest = hashlib.sha256(b"".join(map(dataset_file.encode, shown))).hexdigest()
    etag = question_etag(digest, base_url())
    known, cache_control = known_tag(etag), REVALIDATE if caller().key is None else GUARDED
    return send(answer, etag, cache_control) if known is None else not_modified(known, cache_control)


def _describe(dataset: Dataset) -> dict[str, Any]:
    return {
        "id": dataset.id,
        "title": dataset.title,
        "description": dataset.description,
        "license": dataset.license,
        "homepage": dataset.homepage,
        "latest_release": dataset.latest.id if dataset.latest else None,
        "releases": [
            {
                "id": entry.id,
                "published_at": entry.published_at,
                "withdrawn_at": entry.withdrawn_at,
                "links": {"self": release_url(dataset.id, entry.id)},
            }
            for entry in dataset.releases
        ],
        "links": {
            "self": dataset_url(dataset.id),
            **({"latest": release_url(dataset.id, "latest")} if dataset.latest else {}),
        },
    }
