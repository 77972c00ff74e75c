"""One message to one receiver: to the address that was checked, verified, within its time, whatever is answered."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network

import pytest
from receivers import Authority, Receiver, Reply

from gygo_server.errors import HookTargetError
from gygo_server.webhooks.posting import MAX_ANSWER_BYTES, SHOWN, Answer, Sender

LOOPBACK = [ip_network("127.0.0.0/8")]
HOST = "hooks.example.org"

Start = Callable[..., Receiver]


def post(url: str, sender: Sender | None = None, seconds: float = 30) -> Answer:
    return (sender or Sender(LOOPBACK)).post(url, {"webhook-id": "msg_1"}, b'{"type": "ping"}', seconds)


class Names:
    """Name servers that change their mind: each look-up gives the next list of addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


@contextmanager
def raw_server(talk: Callable[[socket.socket], None], address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A server that is not bound to HTTP, nor to TLS."""
    with socket.create_server((address, port)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        talk(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def test_a_message_arrives_as_it_was_sent(receiver: Start) -> None:
    there = receiver()
    answer = post(there.url)
    assert (answer.status, answer.text, answer.is_success, answer.retry_after) == (200, "200 OK", True, None)
    [received] = there.received
    assert (received.path, received.body, received.id) == ("/hook?team=7", b'{"type": "ping"}', "msg_1")
    assert received.headers["Host"] == f"127.0.0.1:{there.port}"


def test_tls_is_verified_for_the_host_of_the_url(
    receiver: Start, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = receiver(tls=authority.server(HOST))
    sender = Sender(LOOPBACK, Names(["127.0.0.1"]))
    answer = post(f"https://{HOST}:{there.port}/x", sender)
    assert answer.status is None
    assert answer.text.startswith("its certificate is not good: ")
    assert there.received == []
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    sender = Sender(LOOPBACK, Names(["127.0.0.1"]))
    assert post(f"https://{HOST}:{there.port}/x", sender).text == "200 OK"
    assert (there.received[0].headers["Host"], there.received[0].server_name) == (f"{HOST}:{there.port}", HOST)
    for url in (f"https://other.example.org:{there.port}/x", f"https://127.0.0.1:{there.port}/x"):
        assert "its certificate is not good" in post(url, sender).text
    assert len(there.received) == 1


def test_an_address_in_a_url_is_in_its_certificate(
    receiver: Start, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    good, ended = receiver(tls=authority.server("127.0.0.1")), receiver(tls=authority.server("127.0.0.1", expired=True))
    assert post(f"https://127.0.0.1:{good.port}/").text == "200 OK"
    assert post(f"https://127.0.0.1:{ended.port}/").text == "its certificate is not good: certificate has expired"


def test_nothing_is_sent_to_an_address_that_is_not_allowed(receiver: Start) -> None:
    there = receiver()
    for sender in (Sender([]), Sender([ip_network("127.0.0.2/32"), ip_network("::1/128")])):
        for url in (there.url, f"https://127.0.0.1:{there.port}/", f"http://localhost:{there.port}/"):
            answer = post(url, sender)
            assert answer.status is None
            assert answer.text.startswith("not sent: ")
            with pytest.raises(HookTargetError):
                sender.check(url)
    assert there.connections == 0


def test_a_name_that_changes_after_it_was_checked_is_not_followed() -> None:
    asked: list[str] = []

    def answer(name: str) -> Callable[[socket.socket], None]:
        def talk(connection: socket.socket) -> None:
            asked.append(name)
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

        return talk

    # 127.0.0.3 stands for what is private, 127.0.0.2 for what is not.
    names = Names(["127.0.0.2"], ["127.0.0.3"])
    sender = Sender([ip_network("127.0.0.2/32")], names)
    with raw_server(answer("good"), "127.0.0.2") as port, raw_server(answer("private"), "127.0.0.3", port):
        assert post(f"http://rebound.example:{port}/", sender).text == "200 OK"
        assert names.asked == ["rebound.example"], "it is looked up once, and what was found is what is connected to"
        later = post(f"http://rebound.example:{port}/", sender)
        assert later.text == f"not sent: rebound.example has the address 127.0.0.3, which is not public: see {NETWORKS}"
        assert asked == ["good"]


NETWORKS = "GYGO_WEBHOOK_NETWORKS"


def test_a_name_that_was_public_when_it_was_added_is_checked_again_at_each_send(receiver: Start) -> None:
    there = receiver()
    sender = Sender([], Names(["8.8.8.8"], ["127.0.0.1"]))
    url = f"https://rebound.example:{there.port}/"
    sender.check(url)
    assert "not public" in post(url, sender).text
    assert there.connections == 0


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Start, status: int) -> None:
    inside = receiver()
    there = receiver(lambda _: Reply(status, headers={"Location": inside.url}))
    answer = post(there.url)
    assert (answer.status, answer.is_success) == (status, False)
    assert answer.text.endswith(": redirects are not followed")
    assert inside.connections == 0


def test_no_proxy_of_the_environment_is_used(receiver: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, there = receiver(), receiver()
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.endpoint)
    assert post(there.url).text == "200 OK"
    assert (len(there.received), proxy.connections) == (1, 0)


def test_another_address_is_tried_when_one_does_not_answer(receiver: Start) -> None:
    there = receiver()
    sender = Sender(LOOPBACK, Names(["127.0.0.9", "127.0.0.1"]))
    assert post(f"http://two.example:{there.port}/", sender).text == "200 OK"


def test_a_receiver_that_is_away_is_an_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        answer = post(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert (answer.status, answer.text) == (None, "no answer: Connection refused")


@pytest.mark.parametrize(
    "said",
    [b"", b"\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 nonsense\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
)
def test_what_is_not_http_is_an_answer(receiver: Start, said: bytes) -> None:
    there = receiver(lambda _: Reply(raw=said))
    answer = post(there.url)
    assert answer.status is None
    assert answer.text.startswith("no answer: ")
    assert answer.text.isprintable()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", [b"-5\r\nabcde\r\n", b"f" * 24 + b"\r\nabc", b"\xb2\r\nab", b"\r\n"])
def test_the_status_counts_whatever_is_wrong_with_the_body(receiver: Start, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} So\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    answer = post(receiver(lambda _: Reply(raw=head + body)).url)
    assert (answer.status, answer.text.startswith(f"{status} So")) == (status, True)


def test_an_error_that_nobody_thought_of_is_an_answer() -> None:
    answer = post("http://hooks.example/", Sender(LOOPBACK, Names(["of no kind"])))
    assert (answer.status, answer.text) == (
        None,
        "no answer: 'of no kind' does not appear to be an IPv4 or IPv6 address",
    )


def test_an_answer_without_tls_is_no_answer(receiver: Start) -> None:
    there = receiver()
    answer = post(f"https://127.0.0.1:{there.port}/")
    assert answer.status is None
    assert there.received == []


def trickle(first: bytes, then: bytes) -> Callable[[socket.socket], None]:
    """Says something, and goes on saying a little now and then for as long as somebody listens."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        ended = threading.Event()
        connection.settimeout(0.05)
        while not ended.is_set():
            with suppress(TimeoutError):
                if connection.recv(4096) == b"":
                    return
            connection.sendall(then)

    return talk


@pytest.mark.parametrize(
    ("scheme", "first", "then"),
    [
        ("http", b"", b""),
        ("http", b"HTTP/1.1 200", b" "),
        ("http", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        ("http", b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("https", b"", b""),
        ("https", b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\x00"),  # a ServerHello of 16 KiB, byte by byte
    ],
)
def test_a_receiver_that_never_comes_to_an_end_is_cut(scheme: str, first: bytes, then: bytes) -> None:
    with raw_server(trickle(first, then)) as port:
        answer = post(f"{scheme}://127.0.0.1:{port}/", seconds=0.6)
    assert (answer.status, answer.text) == (None, "no answer within 0.6 s")


def test_a_success_whose_body_never_ends_is_one() -> None:
    with raw_server(trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x")) as port:
        answer = post(f"http://127.0.0.1:{port}/", seconds=0.6)
    assert answer.text == "200 OK"


@pytest.mark.parametrize("block", [b"x" * 65536, b"X-Padding: " + b"y" * 60_000 + b"\r\n"], ids=["body", "headers"])
def test_no_more_than_so_much_of_an_answer_is_read(block: bytes) -> None:
    sent = [0]
    ended = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 500 Oops\r\n" + (b"\r\n" if block.startswith(b"x") else b""))
        try:
            while True:
                connection.sendall(block)
                sent[0] += len(block)
        finally:
            ended.set()

    with raw_server(talk) as port:
        answer = post(f"http://127.0.0.1:{port}/", seconds=100)
        assert ended.wait(20), "it would have gone on for ever"
    assert answer.status == 500
    assert sent[0] < MAX_ANSWER_BYTES + (64 << 20), "all but what the two kernels keep was refused"


def test_what_is_kept_of_a_failure_is_short_and_fit_for_a_terminal(receiver: Start) -> None:
    evil = "\x1b[31mred\x07\r\n\u202ebidi ü \udcff".encode(errors="replace") + b"\xff" + b"z" * 1000
    answer = post(receiver(lambda _: Reply(500, evil)).url)
    assert answer.text.startswith("500 Internal Server Error: [31mred    bidi ü ")
    assert answer.text.isprintable()
    assert len(answer.text) <= len("500 Internal Server Error: ") + SHOWN
    line = post(receiver(lambda _: Reply(raw=b"HTTP/1.1 500 \x1b[2J" + b"r" * 9000 + b"\r\n\r\n")).url)
    assert line.text.isprintable()
    assert len(line.text) <= len("500 ") + SHOWN


@pytest.mark.parametrize("status", [201, 202, 204, 299])
def test_two_hundred_and_something_is_a_success(receiver: Start, status: int) -> None:
    answer = post(receiver(lambda _: Reply(status, b"")).url)
    assert (answer.status, answer.is_success) == (status, True)


def test_only_busy_receivers_say_when_to_come_back(receiver: Start) -> None:
    def wait(status: int, value: str) -> int | None:
        return post(receiver(lambda _: Reply(status, headers={"Retry-After": value})).url).retry_after

    assert [wait(status, "120") for status in (429, 503, 500, 200)] == [120, 120, None, None]
    soon = wait(503, format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert soon is not None
    assert 3000 < soon <= 3600
    assert wait(503, "Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert wait(503, "9" * 18) == int("9" * 18)
    assert [wait(429, text) for text in ("", "soon", "-5", "1.5", "²", "9" * 30, "Wed, 99 Oct")] == [None] * 7
    assert wait(503, f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT") is None
    assert wait(503, f"Mon, 01 Jan 2027 00:00:00 +{'9' * 17}") is None
    assert (wait(503, "Fri, 31 Dec 9999 23:59:59 -2300") or 0) > 10**11


def test_a_resolver_that_hangs_is_left_alone(receiver: Start) -> None:
    asleep = threading.Event()

    def slow(_: str) -> list[str]:
        asleep.wait(60)
        return ["127.0.0.1"]

    there = receiver()
    answer = post(f"http://slow.example:{there.port}/", Sender(LOOPBACK, slow), seconds=0.3)
    asleep.set()
    assert answer.text == "not sent: slow.example has no address: nobody told in time"
    assert there.connections == 0
