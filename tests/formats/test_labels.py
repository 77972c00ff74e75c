"""Categories files: both forms, and every fault of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from davis_trees import Tree, message_of


@pytest.fixture
def labelled(tree: Tree) -> Tree:
    return tree.frames("bear").frames("b/car")


def labels_of(tree: Tree, labels: Path | None = None) -> dict[str, tuple[str | None, tuple[str, ...], dict[int, str]]]:
    source = tree.read(labels)
    assert source.findings == ()
    return {video.name: (video.category, video.attributes, video.object_categories) for video in source.videos}


EXPECTED = {"bear": ("toys", ("small", "soft fur"), {2: "ear"}), "b/car": (None, (), {1: "wheel"})}
CSV = "video,category,attributes,object\nbear, toys ,small; soft fur;;small,\nbear,ear,,2\n\nb/car,wheel,,1\n"
JSON = json.dumps(
    {
        "bear": {"category": "toys", "attributes": ["small", "soft fur"], "objects": {"2": "ear"}},
        "b/car": {"objects": {"1": "wheel"}},
    }
)


@pytest.mark.parametrize("text", [CSV, "\ufeff" + CSV.replace("\n", "\r\n")])
def test_csv(labelled: Tree, text: str) -> None:
    labelled.write("categories.csv", text)
    assert labels_of(labelled) == EXPECTED


def test_json(labelled: Tree) -> None:
    labelled.write("categories.json", JSON)
    assert labels_of(labelled) == EXPECTED


@pytest.mark.parametrize("name", ["mine.csv", "mine.JSON"])
def test_a_file_given_goes_before_the_roots_own(
    labelled: Tree, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    given = tmp_path_factory.mktemp("labels") / name
    given.write_text(CSV if name.endswith("csv") else JSON)
    labelled.write("categories.csv", "broken")
    labelled.write("categories.json", "broken")
    assert labels_of(labelled, given) == EXPECTED


def test_columns_in_any_order_and_some_absent(labelled: Tree) -> None:
    labelled.write("categories.csv", 'category,video\n"toys, and more",bear\n')
    assert labels_of(labelled)["bear"] == ("toys, and more", (), {})


def test_none_is_fine(labelled: Tree) -> None:
    assert labels_of(labelled)["bear"] == (None, (), {})


def test_both_files(labelled: Tree) -> None:
    labelled.write("categories.csv", CSV)
    labelled.write("categories.json", JSON)
    assert labelled.faults() == [("two-label-files", "categories.csv", None)]


HEAD = "video,category,attributes,object\n"


@pytest.mark.parametrize(
    ("text", "code", "video", "says"),
    [
        ("", "bad-labels", None, "empty"),
        ("video,colour\nbear,red\n", "unknown-label-field", None, "colour"),
        ("category\ntoys\n", "bad-labels", None, "video"),
        ("video,video\nbear,bear\n", "bad-labels", None, "once"),
        (HEAD + "bear,toys\n", "bad-labels", None, "line 2: 2 values for 4 columns"),
        (HEAD + 'bear,"to"ys,,\n', "bad-labels", None, "line 2"),
        (HEAD + 'bear,"toys,,\n', "bad-labels", None, "not CSV"),
        (HEAD + "\nzebra,toys,,\n", "label-for-unknown-video", "zebra", "line 3"),
        (HEAD + "bear,toys,,\nbear,clothes,,\n", "duplicate-label", "bear", "line 3"),
        (HEAD + "bear,ear,,1\nbear,leg,,1\n", "duplicate-label", "bear", "line 3"),
        (HEAD + "bear,ear,,0\n", "bad-object-id", "bear", "line 2"),
        (HEAD + "bear,ear,,255\n", "bad-object-id", "bear", "line 2"),
        (HEAD + "bear,ear,,1.0\n", "bad-object-id", "bear", "line 2"),
        (HEAD + "bear,,,1\n", "bad-label", "bear", "line 2"),
        (HEAD + "bear,ear,big,1\n", "bad-label", "bear", "line 2: attributes"),
        (HEAD + f"bear,{'x' * 65},,\n", "bad-label", "bear", "line 2"),
        (HEAD + "bear,to\x07ys,,\n", "bad-label", "bear", r"line 2: 'to\x07ys'"),
        (HEAD + f"bear,toys,small;{'x' * 65},\n", "bad-label", "bear", "attribute"),
        (HEAD + "bear," + "x" * 200_000 + ",,\n", "bad-labels", None, "line 2"),
    ],
)
def test_faults_of_csv(labelled: Tree, text: str, code: str, video: str | None, says: str) -> None:
    labelled.write("categories.csv", text)
    assert labelled.faults() == [(code, "categories.csv", video)]
    assert says in message_of(labelled.read(), code)


@pytest.mark.parametrize(
    ("text", "code", "video", "says"),
    [
        ("{\n\n'bear': 1}", "bad-labels", None, "line 3"),
        ("[]", "bad-labels", None, "object"),
        ("[" * 100_000, "bad-labels", None, "JSON"),
        ("9" * 10_000, "bad-labels", None, "JSON"),
        ('{"bear": "toys"}', "bad-labels", "bear", "object"),
        ('{"zebra": {}}', "label-for-unknown-video", "zebra", "zebra"),
        ('{"\\ud800": {}}', "label-for-unknown-video", r"\ud800", r"\ud800"),
        ('{"bear": {}, "bear": {}}', "duplicate-label", "bear", "twice"),
        ('{"bear": {"category": "a", "category": "b"}}', "duplicate-label", "bear", "category"),
        ('{"bear": {"objects": {"1": "a", "1": "b"}}}', "duplicate-label", "bear", "object 1"),
        ('{"bear": {"colour": "red"}}', "unknown-label-field", "bear", "colour"),
        ('{"bear": {"category": 1}}', "bad-label", "bear", "string"),
        ('{"bear": {"category": ""}}', "bad-label", "bear", "1 to 64"),
        ('{"bear": {"category": "\\ud800"}}', "bad-label", "bear", r"\ud800"),
        ('{"bear": {"attributes": "red"}}', "bad-label", "bear", "list"),
        ('{"bear": {"attributes": [1]}}', "bad-label", "bear", "list"),
        ('{"bear": {"objects": ["a"]}}', "bad-label", "bear", "ids"),
        ('{"bear": {"objects": {"1": null}}}', "bad-label", "bear", "object 1"),
        ('{"bear": {"objects": {"0": "a"}}}', "bad-object-id", "bear", "254"),
        ('{"bear": {"objects": {"01": "a"}}}', "bad-object-id", "bear", "254"),
    ],
)
def test_faults_of_json(labelled: Tree, text: str, code: str, video: str | None, says: str) -> None:
    labelled.write("categories.json", text)
    assert labelled.faults() == [(code, "categories.json", video)]
    assert says in message_of(labelled.read(), code)


@pytest.mark.parametrize("name", ["labels.yaml", "labels"])
def test_another_kind_of_file(labelled: Tree, name: str) -> None:
    source = labelled.read(labelled.write(name, "bear: toys"))
    assert [(finding.code, finding.path) for finding in source.findings] == [("bad-labels", name)]


def test_a_file_that_cannot_be_read(labelled: Tree) -> None:
    source = labelled.read(labelled.root / "missing.csv")
    assert [(finding.code, finding.path) for finding in source.findings] == [("bad-labels", "missing.csv")]
    source = labelled.read(labelled.write("latin.csv", b"video\ncaf\xe9\n"))
    assert [finding.code for finding in source.findings] == ["bad-labels"]


def test_all_faults_at_once(labelled: Tree) -> None:
    labelled.write("categories.csv", HEAD + "zebra,a,,\nbear,ear,,0\nb/car,,,1\n")
    codes = [code for code, _, _ in labelled.faults()]
    assert codes == ["label-for-unknown-video", "bad-object-id", "bad-label"]
