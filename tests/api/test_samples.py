"""The order of clips in training: the sampler's, shared by ranks, resumed from a number, the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from checked_client import PROBLEM, CheckedClient
from clip_trees import Clip, Tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gygo.sampling import Epoch, ReleaseClips
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.store.bucket import Bucket

R1 = "/v1/datasets/samples/releases/r1"
SAMPLE = f"{R1}/sample"
FRAMES = [3, 20, 7, 33, 8, 1, 12, 15]

Drawn = tuple[str, int, int, int]

any_example = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", autouse=True)
def published_samples(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The release `r1` of `samples`: videos of these lengths, of which every third is smaller, too."""
    root = tmp_path_factory.mktemp("samples")
    clips = [
        Clip(
            f"part-{n % 2}/v{n}",
            (None,) * frames,
            ["toys", "clothes"][n % 2],
            ("blur",) if n < 3 else (),
            ("train" if n < 6 else "val",),
            resolutions=("480p", "original") if n % 3 == 0 else ("480p",),
        )
        for n, frames in enumerate(FRAMES)
    ]
    tree = Tree(root / "source", clips, seed=90000)
    publish(Publication(tree.root, "samples", "r1", workers=1), bucket, root / "state", Silent())


def ask(api: CheckedClient, **query: Any) -> dict[str, Any]:
    answer = api.get(SAMPLE, query_string=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def walk(api: CheckedClient, **query: Any) -> Iterator[Drawn]:
    url: str | None = None
    while True:
        page = api.get(url).json if url else ask(api, **query)
        yield from map(drawn, page["items"])
        url = page["next"]
        if url is None:
            return


def drawn(item: dict[str, Any]) -> Drawn:
    return item["video"], item["start"], item["length"], item["step"]


def listed(api: CheckedClient, **filters: Any) -> tuple[list[str], list[int]]:
    videos = api.get(f"{R1}/videos", query_string={**filters, "limit": 1000}).json["items"]
    return [video["id"] for video in videos], [video["frame_count"] for video in videos]


def computed(
    api: CheckedClient,
    filters: dict[str, Any] | None = None,
    *,
    length: int = 8,
    step: int = 1,
    max_skip: int | None = None,
    **of_epoch: Any,
) -> list[Drawn]:
    """The order as anybody computes it from the list of videos."""
    ids, frames = listed(api, **(filters or {}))
    epoch = Epoch([ReleaseClips("samples/r1", frames, length, step, max_skip)], **of_epoch)
    return [(ids[at.video], at.start, length, at.step) for at in epoch]


shapes = st.fixed_dictionaries(
    {"length": st.integers(1, 10), "step": st.integers(1, 4)}, optional={"max_skip": st.integers(4, 8)}
)


@any_example
@given(shapes, st.integers(0, 2**63 - 1), st.integers(0, 2**31 - 1), st.booleans(), st.integers(9, 50))
def test_the_order_is_that_of_the_sampler_and_pages_give_all_of_it(
    api: CheckedClient, shape: dict[str, int], seed: int, number: int, shuffle: bool, batch: int
) -> None:
    wanted = computed(api, **shape, seed=seed, number=number, shuffle=shuffle)
    found = list(walk(api, **shape, seed=seed, epoch=number, shuffle=shuffle, batch=batch))
    assert found == wanted
    first = ask(api, **shape, seed=seed, epoch=number, shuffle=shuffle, batch=batch)
    assert len(first["items"]) == min(batch, len(wanted))
    assert first["total"] == first["epoch_clips"] == len(wanted)
    too_short = sum(frames < (shape["length"] - 1) * shape["step"] + 1 for frames in FRAMES)
    assert first["too_short"] == too_short


@any_example
@given(st.integers(1, 7), st.integers(3, 6), st.integers(5, 40), st.integers(0, 1000))
def test_ranks_share_an_epoch_with_no_clip_twice_and_none_left_out(
    api: CheckedClient, world: int, length: int, batch: int, seed: int
) -> None:
    shares = [list(walk(api, rank=rank, world=world, length=length, batch=batch, seed=seed)) for rank in range(world)]
    everything = computed(api, length=length, seed=seed)
    assert sorted(clip for share in shares for clip in share) == sorted(everything)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert shares == [everything[rank::world] for rank in range(world)]
    pages = [ask(api, rank=rank, world=world, length=length, seed=seed) for rank in range(world)]
    assert [page["total"] for page in pages] == [len(share) for share in shares]
    assert {page["epoch_clips"] for page in pages} == {len(everything)}


@any_example
@given(st.integers(0, 40), st.integers(0, 3))
def test_a_cursor_is_a_number_to_go_on_from(api: CheckedClient, taken: int, rank: int) -> None:
    question = {"rank": rank, "world": 4, "length": 2, "batch": 3}
    assert list(walk(api, **question, cursor=taken)) == list(walk(api, **question))[taken:]


def test_beyond_the_end_there_is_nothing(api: CheckedClient) -> None:
    total = ask(api)["total"]
    for cursor in (total, total + 1, 2**53):
        page = ask(api, cursor=cursor)
        assert (page["items"], page["next"], page["total"]) == ([], None, total)
    last = ask(api, cursor=total - 1)
    assert (len(last["items"]), last["next"]) == (1, None)


def test_more_ranks_than_clips_leave_some_with_nothing(api: CheckedClient) -> None:
    page = ask(api, rank=999_999, world=1_000_000)
    assert (page["items"], page["next"], page["total"]) == ([], None, 0)
    assert page["epoch_clips"] > 0


def test_links_lead_on_and_back(api: CheckedClient) -> None:
    first = api.get(SAMPLE, query_string={"batch": 2, "seed": 7})
    assert first.headers["Link"] == f'<{first.json["next"]}>; rel="next"'
    assert "seed=7" in first.json["next"]
    second = api.get(first.json["next"])
    assert 'rel="next"' in second.headers["Link"]
    (back,) = [link for link in second.headers["Link"].split(", ") if 'rel="first"' in link]
    assert api.get(back[1 : back.index(">")]).json["items"] == first.json["items"]


def test_epochs_and_seeds_differ_and_the_same_question_has_the_same_answer(api: CheckedClient) -> None:
    orders = [list(walk(api, length=2, epoch=epoch, seed=seed)) for epoch in range(4) for seed in (0, 1)]
    assert len({tuple(order) for order in orders}) == len(orders)
    first, again = (api.get(SAMPLE, query_string={"epoch": 3}) for _ in range(2))
    assert (again.data, again.headers["ETag"]) == (first.data, first.headers["ETag"])
    assert first.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    known = api.get(SAMPLE, query_string={"epoch": 3}, headers={"If-None-Match": first.headers["ETag"]})
    assert (known.status_code, known.data) == (304, b"")
    other = api.get(SAMPLE, query_string={"epoch": 4}, headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200


def test_without_shuffling_videos_come_in_order(api: CheckedClient) -> None:
    order = list(walk(api, shuffle=False, length=3))
    assert [clip[:2] for clip in order] == sorted(clip[:2] for clip in order)
    assert order == list(walk(api, shuffle=False, length=3, epoch=5, seed=6))


@pytest.mark.parametrize(
    "filters",
    [
        {"split": "train"},
        {"split": ["train", "val"]},
        {"category": "toys"},
        {"attribute": "blur"},
        {"min_frames": 8},
        {"max_frames": 12, "min_frames": 7},
        {"q": "part-1"},
        {"resolution": "original"},
        {"resolution": "480p"},
        {"resolution": "original", "split": "train", "category": "clothes"},
    ],
)
def test_filters_choose_videos_as_in_lists(api: CheckedClient, filters: dict[str, Any]) -> None:
    wanted = computed(api, filters, length=3)
    assert wanted
    assert list(walk(api, **filters, length=3, batch=4)) == wanted


def test_of_no_videos_there_are_no_clips(api: CheckedClient) -> None:
    nothing = {"items": [], "next": None, "total": 0, "epoch_clips": 0, "too_short": 0}
    assert ask(api, category="nope") == nothing
    assert ask(api, min_objects=1, shuffle=False) == nothing
    assert ask(api, length=10_000, step=10_000) == {**nothing, "too_short": len(FRAMES)}
    assert ask(api, length=10_000, step=1, max_skip=10_000, world=3, rank=2) == {**nothing, "too_short": len(FRAMES)}


def test_what_is_drawn_can_be_had(api: CheckedClient) -> None:
    items = ask(api, length=3, max_skip=3, seed=5, resolution="original")["items"]
    question = {"clips": items, "resolution": "original", "on_error": "fail"}
    assert api.post(f"{R1}/clips", json=question).status_code == 200


def test_latest_leads_to_the_release(api: CheckedClient) -> None:
    moved = api.get(SAMPLE.replace("/r1/", "/latest/") + "?seed=3&rank=1&world=2")
    assert moved.status_code == 307
    assert moved.location.endswith(f"{SAMPLE}?seed=3&rank=1&world=2")


def test_a_resolution_that_is_not_there_is_named(api: CheckedClient) -> None:
    answer = api.get(f"{SAMPLE}?resolution=4k")
    assert (answer.status_code, answer.json["type"]) == (404, "urn:gygo:problem:resolution-not-found")


@pytest.mark.parametrize(
    ("question", "fields"),
    [
        ("rank=1", ["rank"]),
        ("rank=4&world=4", ["rank"]),
        ("rank=5&world=4&step=3&max_skip=2", ["max_skip", "rank"]),
        ("step=2&max_skip=1", ["max_skip"]),
        ("world=0", ["world"]),
        ("world=1000001", ["world"]),
        ("rank=-1", ["rank"]),
        ("batch=0", ["batch"]),
        ("batch=1001", ["batch"]),
        ("cursor=-1", ["cursor"]),
        ("cursor=9007199254740993", ["cursor"]),
        ("cursor=W10", ["cursor"]),
        ("cursor=1&cursor=2", ["cursor"]),
        ("seed=9223372036854775808", ["seed"]),
        ("seed=1.5", ["seed"]),
        ("epoch=2147483648", ["epoch"]),
        ("length=0&step=0&max_skip=0", ["length", "max_skip", "step"]),
        ("length=10001&step=10001&max_skip=10001", ["length", "max_skip", "step"]),
        ("shuffle=perhaps", ["shuffle"]),
        ("limit=5", ["limit"]),
        ("images=true&colour=red", ["colour", "images"]),
    ],
)
def test_what_is_wrong_is_a_422_that_names_it(api: CheckedClient, question: str, fields: list[str]) -> None:
    answer = api.get(f"{SAMPLE}?{question}")
    assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
    assert sorted(error["field"] for error in answer.json["errors"]) == fields


def test_a_batch_is_at_most_a_thousand_clips(api: CheckedClient) -> None:
    page = ask(api, batch=1000, length=1)
    assert len(page["items"]) == page["total"] == sum(FRAMES)
    assert page["next"] is None
