"""Records answers of the running service as the OpenAPI document's examples: ``python -m api_spec.record``.

They are of the demo's data set with several objects, drawn and published into a real object store for it; it takes a
minute. Only keys and signatures are put out of sight. ``tests/api/test_examples.py`` asks the same questions again.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import orjson
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gygo_server.access.api_key import Scope
from gygo_server.access.issuing import Order, create_key
from gygo_server.api.download_lists import FORMATS
from gygo_server.api.recorded import FILE
from gygo_server.app import MAX_QUESTION_BYTES, create_app_with_settings
from gygo_server.cli.demo import RELEASE, SAMPLES
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.ingest.releases import show_to, withdraw
from gygo_server.media.sample import write_sample
from gygo_server.model import PUBLIC, Audience, Visibility
from gygo_server.settings import Settings
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

SERVICE, STORE = "https://data.example.org", "https://s3.data.example.org"
SAMPLE = SAMPLES[1]
VIDEO = "black-mug"

_RELEASE = f"/v1/datasets/{SAMPLE.dataset}/releases/{RELEASE}"
_VIDEO = f"{_RELEASE}/videos/{VIDEO}"


class Question(NamedTuple):
    """What is asked of an operation; a GET unless there is something to ``send``. ``keyed``: with a key."""

    operation: str
    path: str
    headers: dict[str, str] = {}  # noqa: RUF012
    send: Any = None
    keyed: bool = False


_CLIPS = {"clips": [{"video": VIDEO, "start": 0, "length": 2}, {"video": "no-such", "start": 0, "length": 2}]}
ANSWERS = (
    Question("list_datasets", "/v1/datasets"),
    Question("get_dataset", f"/v1/datasets/{SAMPLE.dataset}"),
    Question("get_release", _RELEASE),
    Question("get_imageset", f"{_RELEASE}/imagesets/val.txt"),
    Question("list_changes", f"{_RELEASE}/changes"),
    Question("list_videos", f"{_RELEASE}/videos?limit=1&include=archive_url"),
    Question("get_video", _VIDEO),
    Question("list_frames", f"{_VIDEO}/frames?limit=2"),
    Question("get_frame", f"{_VIDEO}/frames/0"),
    Question("get_clips", f"{_RELEASE}/clips?delivery=urls", send=_CLIPS),
    Question("get_sample", f"{_RELEASE}/sample?seed=1&length=2&batch=2"),
    Question("list_downloads", f"{_RELEASE}/downloads?limit=1"),
    Question("list_chosen_downloads", f"{_RELEASE}/downloads?limit=1", send={"videos": [VIDEO]}),
    *(
        question
        for name in FORMATS
        for question in (
            Question("list_downloads", f"{_RELEASE}/downloads?format={name}&q=mug"),
            Question("list_chosen_downloads", f"{_RELEASE}/downloads?format={name}", send={"videos": [VIDEO]}),
        )
    ),
    Question("create_link", f"{_RELEASE}/links", send={"url": f"videos/{VIDEO}/frames/0/image"}, keyed=True),
    Question("get_health", "/healthz"),
    Question("get_readiness", "/readyz"),
)
#: A question for each problem that one alone can meet with, by the problem's code.
PROBLEMS = {
    "bad-request": Question("list_datasets", "/v1/datasets", {"Host": "no host"}),
    "not-found": Question("get_frame", f"{_VIDEO}/frames/00005"),
    "dataset-not-found": Question("get_dataset", "/v1/datasets/no-such"),
    "release-not-found": Question("get_release", f"/v1/datasets/{SAMPLE.dataset}/releases/part-9"),
    "video-not-found": Question("get_video", f"{_RELEASE}/videos/no-such"),
    "frame-not-found": Question("get_frame", f"{_VIDEO}/frames/9999"),
    "resolution-not-found": Question("get_image", f"{_VIDEO}/frames/0/image?resolution=8k"),
    "split-not-found": Question("get_imageset", f"{_RELEASE}/imagesets/no-such.txt"),
    "not-acceptable": Question("list_downloads", f"{_RELEASE}/downloads", {"Accept": "text/html"}),
    "precondition-failed": Question("get_video", _VIDEO, {"If-Match": '"another"'}),
    "request-entity-too-large": Question("get_clips", f"{_RELEASE}/clips", send="x" * MAX_QUESTION_BYTES),
    "unsupported-media-type": Question("get_clips", f"{_RELEASE}/clips", {"Content-Type": "text/plain"}, _CLIPS),
    "range-not-satisfiable": Question("get_image", f"{_VIDEO}/frames/0/image", {"Range": "bytes=99999999-"}),
    "key-refused": Question("list_datasets", "/v1/datasets", {"Authorization": "Bearer gygo_no-key"}),
    "link-refused": Question("get_video", f"{_VIDEO}?link=altered"),
    "invalid-request": Question("list_videos", f"{_RELEASE}/videos?limit=0&colour=red"),
}


def ask(client: FlaskClient, question: Question, key: str) -> TestResponse:
    """Put the question, with the key if it wants one."""
    headers = {**question.headers, **({"Authorization": f"Bearer {key}"} if question.keyed else {})}
    if question.send is None:
        return client.get(question.path, headers=headers)
    headers = {"Content-Type": "application/json", **headers}
    return client.post(question.path, data=orjson.dumps(question.send), headers=headers)


def example_of(answer: TestResponse) -> Any:
    """The answer's body as the document shows it: JSON as it is (of many lines, the first), and text."""
    text = re.sub(r"X-Amz-Signature=[0-9a-f]{64}", f"X-Amz-Signature={'0' * 64}", answer.text)
    text = re.sub(r"\blink=[\w.-]+", f"link={'A' * 40}", text)
    text = re.sub(r"X-Amz-Credential=[^%&]*", "X-Amz-Credential=EXAMPLE", text)
    if answer.mimetype == "application/x-ndjson":
        return orjson.loads(text.splitlines()[0])
    return orjson.loads(text) if answer.mimetype.endswith("json") else text


def record(folder: Path, store: SeaweedFS) -> dict[str, Any]:
    """Publish the sample, and ask everything."""
    bucket = Bucket(store.settings("gygo-examples"))
    bucket.create()
    tree = folder / SAMPLE.dataset
    write_sample(tree, kind=SAMPLE.kind, seed=SAMPLE.seed)
    publish(
        Publication(tree, SAMPLE.dataset, RELEASE, title=SAMPLE.title, fps=5, workers=2),
        bucket,
        folder / "state",
        Silent(),
    )
    settings = Settings.from_env(
        {
            **store.service_environment("gygo-examples"),
            "GYGO_S3_PUBLIC_ENDPOINT": STORE,
            "GYGO_PUBLIC_URL": SERVICE,
            "GYGO_CACHE_DIR": str(folder / "cache"),
            "GYGO_LOG_REQUESTS": "false",
            "GYGO_LINK_SECRETS": token_urlsafe(32),
        }
    )
    client = create_app_with_settings(settings).test_client()
    _, key = create_key(bucket, Order("Example Ltd"))
    answers = []
    for question in ANSWERS:
        answer = ask(client, question, key)
        about = {"operation": question.operation, "status": answer.status_code, "media_type": answer.mimetype}
        answers.append({**about, "body": example_of(answer)})
    # With no public URL, as only then the Host header counts.
    plain = create_app_with_settings(replace(settings, public_url="")).test_client()
    problems = {
        code: example_of(ask(plain if code == "bad-request" else client, question, key))
        for code, question in PROBLEMS.items()
    }
    return {"answers": answers, "problems": problems | _problems_of_states(client, settings, bucket, tree, folder)}


def _problems_of_states(
    client: FlaskClient, settings: Settings, bucket: Bucket, tree: Path, folder: Path
) -> dict[str, Any]:
    """Problems that need something to be lost, taken back, or away."""
    bare = folder / "bare"
    shutil.copytree(tree / "JPEGImages" / "480p" / VIDEO, bare / "JPEGImages" / "480p" / VIDEO)
    publish(Publication(bare, "bare", "part-1", workers=1), bucket, folder / "state", Silent())
    video = f"/v1/datasets/bare/releases/part-1/videos/{VIDEO}"
    found = {"mask-not-found": client.get(f"{video}/frames/0/mask")}
    sha256 = client.get(video).json["resolutions"][0]["archive"]["sha256"]
    bucket.delete(keys.archive("bare", sha256))
    found["stored-bytes-wrong"] = client.get(f"{video}/frames/0/image")
    show_to(bucket, "bare", "part-1", Visibility(Audience.PRIVATE))
    _, key = create_key(bucket, Order("Example Ltd", (Scope.parse("bare=read"),), rate="5/day", quota_bytes=10**9))
    keyed = {"Authorization": f"Bearer {key}"}
    metered = create_app_with_settings(replace(settings, cache_dir=folder / "metered")).test_client()
    found["scope-missing"] = metered.get(f"{video}/archive", headers=keyed)
    _, poor = create_key(bucket, Order("Example Ltd", (Scope.parse("bare"),), quota_bytes=1000))
    asking = create_app_with_settings(replace(settings, cache_dir=folder / "asking")).test_client()
    found["quota-exceeded"] = asking.get(f"{video}/archive", headers={"Authorization": f"Bearer {poor}"})
    for _ in range(6):
        found["rate-limited"] = metered.get(video, headers=keyed)
    show_to(bucket, "bare", "part-1", PUBLIC)
    withdraw(bucket, "bare", "part-1", "an example")
    later = create_app_with_settings(replace(settings, cache_dir=folder / "later"))  # which has not seen it before
    found["release-withdrawn"] = later.test_client().get(video)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = replace(settings.s3, endpoint=f"http://127.0.0.1:{nobody.getsockname()[1]}", timeout=1.0)
        alone = replace(settings, s3=away, cache_dir=folder / "alone")
        found["store-unavailable"] = create_app_with_settings(alone).test_client().get("/v1/datasets")
    return {code: example_of(answer) for code, answer in found.items()}


def main() -> None:
    with TemporaryDirectory(prefix="gygo-examples-") as name, SeaweedFS(Path(name) / "s3") as store:
        os.environ.update(store.environment())
        recorded = record(Path(name), store)
    wrong = [each for each in recorded["answers"] if each["status"] != 200]
    wrong += [each for code, each in recorded["problems"].items() if not each["type"].endswith(f":{code}")]
    if wrong:
        raise SystemExit(f"not as expected, nothing was written: {wrong}")
    FILE.write_bytes(orjson.dumps(recorded, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
