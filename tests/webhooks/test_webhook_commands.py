"""``gygo-server webhooks``, and the commands whose work partners are told of, each in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from deliveries import Post
from published import publish
from receivers import Authority, Received, Receiver, Reply
from tcp_gate import Gate

from gygo_server.access import issuing
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.cli.webhooks import announce, webhooks
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket
from gygo_server.webhooks.schedule import LEASE

Start = Callable[..., Receiver]
Command = Callable[..., subprocess.CompletedProcess[str]]

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def environment(hooks: Bucket) -> dict[str, str]:
    return {"GYGO_BUCKET": hooks.settings.bucket, "GYGO_WEBHOOK_NETWORKS": "127.0.0.0/8"}


@pytest.fixture
def command(gygo_server: Command, environment: dict[str, str]) -> Command:
    def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return gygo_server(*arguments, **{**environment, **more})

    return run


@pytest.fixture
def runs(s3: SeaweedFS, environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``webhooks run``; what is left of it at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **given: str) -> subprocess.Popen[str]:
        more = {"GYGO_S3_ENDPOINT": s3.endpoint, "GYGO_S3_ADDRESSING": "path", **environment, **given}
        line = [str(Path(sys.executable).parent / "gygo-server"), "webhooks", "run", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(line, env={**os.environ, **more}, text=True, **pipes))
        return started[-1]

    yield start
    for each in started:
        if each.poll() is None:
            each.kill()
        each.communicate()


def add(command: Command, url: str, *more: str) -> tuple[str, str]:
    """A new webhook's id and secret."""
    done = command("webhooks", "add", url, "--json", *more)
    assert (done.returncode, done.stderr) == (0, "")
    added = json.loads(done.stdout)
    return added["id"], added["secret"]


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_a_partner_is_told_of_what_is_published_and_withdrawn(
    command: Command, receiver: Start, binary_tree: Path
) -> None:
    there = receiver()
    hook, secret = add(command, there.url, "--description", "of the tests")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    told = command("ingest", binary_tree, "--dataset", "toys", "--release", "r1", "--title", "Toys", "--workers", "1")
    assert told.returncode == 0, told.stderr
    assert "webhooks: 1 told\n" in told.stderr
    again = command("ingest", binary_tree, "--dataset", "toys", "--release", "r1", "--workers", "1")
    assert (again.returncode, "webhooks" in again.stderr) == (0, False)
    assert command("releases", "withdraw", "toys", "r1", "--reason", "wrong", "--yes").stderr == ("webhooks: 1 told\n")
    first, second = (each.verified(secret) for each in there.received)
    assert (first["type"], first["data"]["title"]) == ("release.published", "Toys")
    assert (second["type"], second["data"]["withdrawn_reason"]) == ("release.withdrawn", "wrong")
    shown = json.loads(command("webhooks", "show", hook, "--json").stdout)
    assert [(each["type"], each["answer"]) for each in shown["events"]] == [
        ("release.published", "200 OK"),
        ("release.withdrawn", "200 OK"),
    ]
    assert (shown["description"], shown["state"], shown["delivered"]) == ("of the tests", "enabled", 2)


def test_what_cannot_be_delivered_is_no_failure_of_what_was_done(
    command: Command, receiver: Start, hooks: Bucket
) -> None:
    publish(hooks, "toys", "r1")
    publish(hooks, "toys", "r2")
    answers = [Reply(), Reply(500, b"broken")]
    there = receiver(lambda _: answers.pop())
    hook, _ = add(command, there.url)
    done = command("releases", "withdraw", "toys", "r1", "--yes")
    assert (done.returncode, done.stdout) == (0, "withdrew toys/r1\n")
    assert done.stderr == "webhooks: 0 told, 1 pending: `gygo-server webhooks run` goes on\n"
    hooks.delete(f"_webhooks/{hook}.json")
    hooks.put("_webhooks/aaaaaaaaaa.json", b"{", replaces=None)
    done = command("releases", "withdraw", "toys", "r2", "--yes")
    assert (done.returncode, done.stdout) == (0, "withdrew toys/r2\n")
    assert done.stderr.startswith("warning: _webhooks/aaaaaaaaaa.json: not a webhook")


@pytest.mark.parametrize(
    "head",
    [
        b"503 Busy\r\nRetry-After: 999999999999999999",
        b"503 Busy\r\nRetry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        b"500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcde",
    ],
)
def test_an_odd_answer_fails_no_command_and_no_other_webhook(
    command: Command, receiver: Start, hooks: Bucket, head: bytes
) -> None:
    odd, good = receiver(lambda _: Reply(raw=b"HTTP/1.1 " + head + b"\r\n\r\n")), receiver()
    hook, _ = add(command, odd.url)
    add(command, good.url)
    publish(hooks, "toys", "r1")
    done = command("webhooks", "run", "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"webhook {hook}: release.published toys/r1" in done.stdout
    assert len(good.received) == len(odd.received) == 1
    done = command("releases", "withdraw", "toys", "r1", "--yes")
    assert (done.returncode, done.stderr.count("\n"), len(good.received)) == (0, 1, 2)
    done = command("webhooks", "test", hook)
    assert (done.returncode, done.stderr.startswith(f"Error: {head[:8].decode()}")) == (1, True)


def test_an_error_that_nobody_thought_of_is_no_failure_of_what_was_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    announce(replace(Settings.from_env({"GYGO_BUCKET": "gygo"}), s3=None))  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert said.startswith("warning: webhooks were not told: AttributeError: ")
    assert said.endswith("; `gygo-server webhooks run` tells them\n")


def test_a_receiver_that_says_nothing_holds_up_a_command_for_seconds_only(
    command: Command, receiver: Start, hooks: Bucket
) -> None:
    publish(hooks, "toys", "r1")
    go_on = threading.Event()
    there = receiver(lambda _: Reply(200 if go_on.wait(100) else 500))
    hook, _ = add(command, there.url)
    done = command("releases", "withdraw", "toys", "r1", "--yes")
    go_on.set()
    assert done.returncode == 0
    assert "1 pending" in done.stderr
    assert json.loads(command("webhooks", "show", hook, "--json").stdout)["events"][0]["answer"] == (
        "no answer within 3 s"
    )


def test_a_secret_is_shown_once(command: Command, hooks: Bucket, receiver: Start) -> None:
    there = receiver(lambda _: Reply(500))
    done = command("webhooks", "add", there.url)
    assert re.fullmatch(r"whsec_\S+\n", done.stdout)
    [hook] = re.findall(r"webhook ([a-z0-9]{10}) ", done.stderr)
    publish(hooks, "toys", "r1")
    said = [
        command("webhooks", *line).stdout
        for line in (
            ("list",),
            ("list", "--json"),
            ("show", hook),
            ("show", hook, "--json"),
            ("failed",),
            ("run", "--once"),
            ("disable", hook),
            ("enable", hook),
        )
    ]
    assert all(said[:4])
    assert "whsec" not in "".join(said)
    assert there.url in said[2]
    rotated = command("webhooks", "rotate", hook, "--overlap", "0s")
    assert re.fullmatch(r"whsec_\S+\n", rotated.stdout)
    assert rotated.stdout != done.stdout
    assert [command("webhooks", "remove", hook, "--yes").returncode for _ in range(2)] == [0, 1]
    assert json.loads(command("webhooks", "list", "--json").stdout) == []


@pytest.mark.parametrize("spoilt", [False, True])
def test_a_webhook_is_removed_only_when_that_is_meant(
    hooks: Bucket, environment: dict[str, str], s3: SeaweedFS, spoilt: bool
) -> None:
    hook, _ = Post(hooks).add("https://example.org/hook")
    if spoilt:
        hooks.delete(f"_webhooks/{hook.id}.json")
        hooks.put(f"_webhooks/{hook.id}.json", b"{", replaces=None)
    runner = CliRunner(env={"GYGO_S3_ENDPOINT": s3.endpoint, "GYGO_S3_ADDRESSING": "path", **environment})
    for answer in ("n\n", ""):
        asked = runner.invoke(webhooks, ["remove", hook.id], input=answer)
        assert (asked.exit_code, asked.stdout) == (1, "")
        named = f"{hook.id} (_webhooks/" if spoilt else f"{hook.id}, to https://example.org/hook, for good?"
        assert asked.stderr.startswith(f"remove webhook {named}")
        assert len(list(hooks.list("_webhooks/"))) == 1
    done = runner.invoke(webhooks, ["remove", hook.id], input="y\n")
    assert (done.exit_code, done.stdout) == (0, f"removed webhook {hook.id}\n")
    assert list(hooks.list("_webhooks/")) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://0x7f.1/",
        "https://user:hunter2@127.0.0.1/",
        "http://1.1.1.1/",
        "https://[::1]/",
        "ftp://127.0.0.1/",
    ],
)
def test_a_url_that_nothing_would_be_sent_to_is_not_added(command: Command, hooks: Bucket, url: str) -> None:
    done = command("webhooks", "add", url)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: ")
    assert "hunter2" not in done.stderr
    assert list(hooks.list("")) == []


def test_loopback_is_refused_unless_its_network_is_allowed(command: Command, receiver: Start, hooks: Bucket) -> None:
    there = receiver()
    hook, _ = add(command, there.url)
    done = command("webhooks", "add", there.url, GYGO_WEBHOOK_NETWORKS="")
    assert (done.returncode, done.stderr.endswith("is not public: see GYGO_WEBHOOK_NETWORKS\n")) == (1, True)
    pinged = command("webhooks", "test", hook, GYGO_WEBHOOK_NETWORKS="10.0.0.0/8")
    assert pinged.returncode == 1
    assert there.connections == 0
    assert len(list(hooks.list("_webhooks/"))) == 1


def test_what_else_is_wrong_with_a_webhook_is_told(command: Command, hooks: Bucket) -> None:
    revoked, _ = issuing.create_key(hooks, issuing.Order("partner"))
    issuing.revoke_key(hooks, revoked.id)
    url = "http://127.0.0.1:9999/"
    for more, why in (
        (("--key", "aaaaaaaaaa"), "there is no key 'aaaaaaaaaa'"),
        (("--key", revoked.id), "the key was revoked at"),
        (("--dataset", "../x"), "no dataset can have this id"),
        (("--description", "x" * 2000), "more than 1024 characters"),
    ):
        done = command("webhooks", "add", url, *more)
        assert (done.returncode, done.stdout) == (1, "")
        assert why in done.stderr
    assert list(hooks.list("_webhooks/")) == []
    warned = command("webhooks", "add", url, "--dataset", "typo")
    assert warned.returncode == 0
    assert "warning: there is no dataset 'typo' in the bucket yet\n" in warned.stderr
    for line in ("show", "test", "remove", "enable", "disable", "rotate", "failed", "retry"):
        done = command("webhooks", line, "aaaaaaaaaa")
        assert (done.returncode, done.stderr) == (1, "error: there is no webhook 'aaaaaaaaaa'\n")


def test_a_ping_tells_whether_it_arrives(command: Command, receiver: Start) -> None:
    there = receiver(lambda _: answers.pop())
    answers = [Reply(500, b"no\x1b[2J"), Reply(204, b"")]
    hook, secret = add(command, there.url)
    good, bad = (command("webhooks", "test", hook) for _ in range(2))
    assert good.returncode == 0
    assert re.fullmatch(r"204 No Content \(\d+\.\d\d s\)\n", good.stdout)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert re.fullmatch(r"Error: 500 Internal Server Error: no \[2J \(\d+\.\d\d s\)\n", bad.stderr)
    message = there.received[0].verified(secret)
    assert (message["type"], message["data"]) == ("ping", {"webhook": hook})
    assert json.loads(command("webhooks", "show", hook, "--json").stdout)["events"] == []


def test_dead_letters_are_listed_and_sent_again(command: Command, receiver: Start, hooks: Bucket) -> None:
    answers = [Reply(), *[Reply(500, b"broken")] * 10]
    there = receiver(lambda _: answers.pop())
    hook, _ = add(command, there.url)
    publish(hooks, "toys", "r1")
    post = Post(hooks)
    while len(there.received) < 10:
        post.round()
        post.later(days=2)
    [dead] = json.loads(command("webhooks", "failed", "--json").stdout)
    assert (dead["webhook"], dead["attempts"], dead["answer"]) == (hook, 10, "500 Internal Server Error: broken")
    line = f"{hook} {dead['event']} release.published toys/r1: {dead['answer']}; given up after 10 attempts\n"
    assert command("webhooks", "failed", hook).stdout == line
    refused = command("webhooks", "retry", hook, "msg_other")
    assert (refused.returncode, "no dead letter 'msg_other'" in refused.stderr) == (1, True)
    sent = command("webhooks", "retry", hook, dead["event"])
    assert (sent.returncode, f"{dead['event']}: delivered at " in sent.stdout) == (0, True)
    assert command("webhooks", "failed").stdout == ""
    assert {each.id for each in there.received} == {dead["event"]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_loop_tells_what_comes_and_ends_after_the_message_under_way(
    command: Command, receiver: Start, hooks: Bucket, runs: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(received: Received) -> Reply:
        if b"r2" in received.body:
            begun.set()
            go_on.wait(60)
        return Reply()

    there = receiver(hold)
    hook, _ = add(command, there.url)
    loop = runs("--interval", "1")
    publish(hooks, "toys", "r1")
    wait_until(lambda: there.received)
    publish(hooks, "toys", "r2")
    publish(hooks, "toys", "r3")
    assert begun.wait(60)
    loop.send_signal(number)
    time.sleep(0.2)
    assert loop.poll() is None, "it waits for the answer"
    go_on.set()
    out, err = loop.communicate(timeout=60)
    assert (loop.returncode, err) == (0, "")
    shown = json.loads(command("webhooks", "show", hook, "--json").stdout)
    assert [(each["release"], bool(each["delivered_at"])) for each in shown["events"]][:2] == [
        ("r1", True),
        ("r2", True),
    ]
    assert out.count(" webhook ") == shown["delivered"]
    assert command("webhooks", "run", "--once").returncode == 0
    assert {json.loads(each.body)["data"]["release"] for each in there.received} == {"r1", "r2", "r3"}
    assert len({each.id for each in there.received}) == len(there.received) == 3


def test_a_loop_that_is_killed_in_the_middle_of_a_message_loses_none(
    command: Command, receiver: Start, hooks: Bucket, runs: Callable[..., subprocess.Popen[str]]
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: Received) -> Reply:
        begun.set()
        go_on.wait(60)
        return Reply()

    there = receiver(hold)
    _, secret = add(command, there.url)
    publish(hooks, "toys", "r1")
    loop = runs("--once")
    assert begun.wait(60)
    loop.kill()
    assert loop.wait(60) == -signal.SIGKILL
    go_on.set()
    post = Post(hooks)
    assert post.round().attempts == [], "for all that is known it is still under way"
    post.later(seconds=LEASE.total_seconds() + 1)
    assert [each.answer.status for each in post.round().attempts] == [200]
    first, second = there.received
    assert first.id == second.id
    assert first.verified(secret)["data"]["release"] == "r1"


def test_a_loop_outlives_a_store_that_is_away(
    command: Command, receiver: Start, s3: SeaweedFS, hooks: Bucket, runs: Callable[..., subprocess.Popen[str]]
) -> None:
    there = receiver()
    add(command, there.url)
    publish(hooks, "toys", "r1")
    with Gate(s3.port) as gate:
        away = {"GYGO_S3_ENDPOINT": gate.endpoint, "GYGO_S3_TIMEOUT": "2"}
        gate.shut()
        once = command("webhooks", "run", "--once", **away)
        assert (once.returncode, once.stderr.startswith("error: the store gives no answer")) == (1, True)
        refused = gate.connections
        loop = runs("--interval", "1", **away)
        wait_until(lambda: gate.connections > refused + 2)  # a call asks twice, so one round is over
        assert there.received == []
        gate.open()
        wait_until(lambda: there.received)
        loop.send_signal(signal.SIGTERM)
        _, err = loop.communicate(timeout=60)
    assert loop.returncode == 0
    assert "warning: the store gives no answer" in err
    assert "; trying again in 1 s\n" in err


def test_tls_and_a_certificate_s_authority_work_from_the_command_line(
    command: Command, receiver: Start, authority: Authority
) -> None:
    there = receiver(tls=authority.server("127.0.0.1"))
    hook, _ = add(command, f"https://127.0.0.1:{there.port}/hook")
    refused = command("webhooks", "test", hook)
    assert (refused.returncode, "certificate is not good" in refused.stderr) == (1, True)
    assert command("webhooks", "test", hook, SSL_CERT_FILE=str(authority.file)).returncode == 0


def test_the_receiver_of_the_readme_takes_what_is_signed_and_nothing_else(command: Command, tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(import os\n.*?standardwebhooks.*?)```", README.read_text(), re.DOTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert program.count("9000") == 1
    file = tmp_path / "receiver.py"
    file.write_text(program.replace("9000", str(port)))
    url = f"http://127.0.0.1:{port}/"
    (hook, secret), (other, _) = add(command, url), add(command, url)
    log = (tmp_path / "log").open("w+")
    with (
        log,
        subprocess.Popen(
            [sys.executable, "-u", str(file)], env={"WEBHOOK_SECRET": secret}, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            wait_until(lambda: command("webhooks", "test", hook).returncode == 0)
            assert command("webhooks", "test", other).returncode == 1
        finally:
            process.kill()
        log.seek(0)
        assert "ping" in log.read()


def test_a_key_that_ended_is_told_by_list(command: Command, hooks: Bucket, receiver: Start) -> None:
    key, _ = issuing.create_key(hooks, issuing.Order("partner"))
    hook, _ = add(command, receiver().url, "--key", key.id)
    issuing.revoke_key(hooks, key.id)
    [row] = json.loads(command("webhooks", "list", "--json").stdout)
    assert (row["id"], row["key"]) == (hook, key.id)
    assert row["state"].startswith("ended: the key was revoked at ")
