"""Datasets whose releases not everybody may see, and callers with keys: what tests of access ask about, and as whom."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import urllib3
from clip_trees import Clip, Tree
from processes import Service

from gygo_server.access.api_key import Scope
from gygo_server.access.issuing import Order, create_key
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.model import Audience, Visibility
from gygo_server.store.bucket import Bucket

Access = Literal["nothing", "read", "all"]

PAST = datetime.now(UTC) - timedelta(days=1)
FUTURE = datetime.now(UTC) + timedelta(days=1)

#: Release → who may see it. Their ids are words that nothing else has in it, so that a leak is seen in any answer.
RELEASES: dict[str, Visibility] = {
    "zz-open": Visibility(Audience.PUBLIC),
    "zz-members": Visibility(Audience.REGISTERED),
    "zz-coming": Visibility(Audience.EMBARGOED, FUTURE),
    "zz-secret": Visibility(Audience.PRIVATE),
    "zz-ripe": Visibility(Audience.EMBARGOED, PAST),
}

#: Dataset → who may see it.
DATASETS: dict[str, Visibility] = {"xx-shown": Visibility(Audience.PUBLIC), "xx-hidden": Visibility(Audience.PRIVATE)}

#: Caller → the scopes of their key; None: they have none.
CALLERS: dict[str, tuple[str, ...] | None] = {
    "nobody": None,
    "member": (),
    "reader": ("xx-shown:zz-coming=read", "xx-hidden:zz-open=read"),
    "partner": ("xx-shown=read,download", "xx-hidden:zz-secret=read,download"),
    "operator": ("*=read,download",),
}

#: In every release, and in this one alone.
COMMON = "batch-1/common"


def own_video(release: str) -> str:
    return f"only-in-{release}"


def access(caller: str, dataset: str, release: str) -> Access:
    """What a caller may do with a release: the rules once more, in other words than the service's."""
    for_all = {"zz-open", "zz-ripe"} if dataset == "xx-shown" else set()
    for_members = for_all | ({"zz-members"} if dataset == "xx-shown" else set())
    if release in (for_all if caller == "nobody" else for_members):
        return "all"
    granted: Mapping[tuple[str, str, str], Access] = {
        ("reader", "xx-shown", "zz-coming"): "read",
        ("reader", "xx-hidden", "zz-open"): "read",
        ("partner", "xx-hidden", "zz-secret"): "all",
    }
    if caller == "operator" or (caller, dataset) == ("partner", "xx-shown"):
        return "all"
    return granted.get((caller, dataset, release), "nothing")


@dataclass(frozen=True)
class Guarded:
    """What was published, and each caller's key."""

    keys: dict[str, str]

    def headers(self, caller: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[caller]}"} if caller in self.keys else {}


def publish_guarded(bucket: Bucket, root: Path) -> Guarded:
    """Publish every dataset with every release, each with a video of its own, and make the callers' keys."""
    for number, (dataset, shown) in enumerate(DATASETS.items()):
        for place, (release, visibility) in enumerate(RELEASES.items()):
            seed = 50_000 + 10_000 * number + 100 * place
            clips = [
                Clip(COMMON, ((1,), (1, 2), (2,)), "toys", ("blur",), ("train",)),
                Clip(own_video(release), ((1,),) * 2, "clothes", (), ("train",)),
            ]
            tree = Tree(root / dataset / release, clips, seed=seed)
            publication = Publication(
                tree.root, dataset, release, workers=1, fps=5, visibility=visibility, dataset_visibility=shown
            )
            publish(publication, bucket, root / "state", Silent())
    keys = {}
    for caller, scopes in CALLERS.items():
        if scopes is not None:
            _, keys[caller] = create_key(bucket, Order(owner=caller, scopes=tuple(map(Scope.parse, scopes))))
    return Guarded(keys)


class Asked(NamedTuple):
    status: int
    kind: str
    text: str
    headers: str
    body: bytes
    cache_control: str


class Guard:
    """The service over what is published, asked by any caller."""

    def __init__(self, service: Service, guarded: Guarded) -> None:
        self.service = service
        self.guarded = guarded
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", service.port, maxsize=4, timeout=30, retries=False)

    def send(self, method: str, target: str, headers: dict[str, str], body: dict[str, Any] | None = None) -> Asked:
        told = {"Content-Type": "application/json"} if body is not None else {}
        content = json.dumps(body) if body is not None else None
        answer = self._pool.request(method, target, body=content, headers={**headers, **told}, redirect=False)
        text = answer.data.decode("utf-8", "replace")
        kind = json.loads(text)["type"].rsplit(":", 1)[1] if answer.status >= 400 else ""
        shown = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        return Asked(answer.status, kind, text, shown, answer.data, answer.headers.get("Cache-Control", ""))


def leaks(asked: Asked, caller: str, dataset: str, named: Collection[str] = ()) -> list[str]:
    """What an answer says of releases and datasets that its caller may not see; ``named``: releases asked for."""
    hidden = [
        word
        for release in RELEASES
        if release not in named and access(caller, dataset, release) == "nothing"
        for word in (release, own_video(release))
    ]
    hidden += [
        other
        for other in DATASETS
        if other not in {dataset, "xx-shown"} and all(access(caller, other, each) == "nothing" for each in RELEASES)
    ]
    return [word for word in hidden if word in asked.headers + asked.text]
