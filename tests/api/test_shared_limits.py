"""One limit for all workers and replicas, in a real Redis; and what becomes of it when that goes away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from processes import Service, wait_until
from redis_servers import RedisServer, free_port

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.store.bucket import Bucket

PASSWORD = "hunter2-of-redis"
LOST = "limits are counted by this process alone"
BACK = "limits are counted in Redis again"

Start = Callable[..., Service]


@pytest.fixture
def service(s3: SeaweedFS, bucket: Bucket, tmp_path: Path) -> Start:
    """A service over the test bucket, with a rate for each address that is not paid off while a test runs."""

    def make(name: str = "one", **environment: str) -> Service:
        (tmp_path / name).mkdir()
        usual = {
            "GYGO_BUCKET": bucket.settings.bucket,
            "GYGO_S3_ENDPOINT": s3.endpoint,
            "GYGO_RATE_ANONYMOUS": "30/day",
        }
        return Service(tmp_path / name, {**usual, **environment})

    return make


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis") as server:
        yield server


def ask(service: Service, times: int, **headers: str) -> Counter[int]:
    """How often which status came."""
    return Counter(service.get("/v1/datasets", **headers).status for _ in range(times))


def limits_check(service: Service) -> str:
    answer = service.get("/readyz")
    assert answer.status == 200, answer.data
    return str(answer.json()["checks"]["limits"])


def told(service: Service, event: str) -> list[str]:
    return [line.get("reason", "") for line in service.lines() if line.get("event") == event]


def test_two_services_share_one_limit_and_a_restart_forgets_nothing(service: Start, redis: RedisServer) -> None:
    with service("one", GYGO_REDIS_URL=redis.url) as one, service("two", GYGO_REDIS_URL=redis.url) as two:
        assert ask(one, 10) == ask(two, 10) == {200: 10}
        assert ask(one, 10) + ask(two, 10) == {200: 10, 429: 10}
        assert limits_check(one) == limits_check(two) == "ok"
    with service("three", GYGO_REDIS_URL=redis.url) as three:
        assert ask(three, 3) == {429: 3}


def test_without_redis_each_worker_counts_for_itself(service: Start) -> None:
    with service() as one:
        for worker in one.workers():
            with one.connection_to(worker) as pool:
                statuses = [pool.request("GET", "/v1/datasets").status for _ in range(33)]
                assert statuses == [200] * 30 + [429] * 3
        assert limits_check(one) == "ok"


def test_when_redis_dies_workers_count_alone_and_return_to_it(service: Start, redis: RedisServer) -> None:
    with service(GYGO_REDIS_URL=redis.url) as one:
        assert ask(one, 40) == {200: 30, 429: 10}
        redis.kill()
        pools = [one.connection_to(worker) for worker in one.workers()]
        for pool in pools:  # from nothing: 30 for each
            assert [pool.request("GET", "/v1/datasets").status for _ in range(31)] == [200] * 30 + [429]
            ready = pool.request("GET", "/readyz")
            assert ready.status == 200
            assert ready.json()["checks"]["limits"].startswith("local: ")
            assert ready.json()["status"] == "ready"
        assert len(told(one, LOST)) == 2  # once a worker, not once a request
        redis.start()
        for pool in pools:
            wait_until(lambda pool=pool: pool.request("GET", "/readyz").json()["checks"]["limits"] == "ok", 30)
            pool.close()
        assert len(told(one, BACK)) == 2
        assert ask(one, 40) == {200: 30, 429: 10}  # Redis has started anew


def test_a_redis_that_hangs_is_given_up_and_asked_again_when_it_answers(service: Start, redis: RedisServer) -> None:
    with service(GYGO_REDIS_URL=redis.url) as one:
        assert ask(one, 20) == {200: 20}
        redis.pause()
        assert ask(one, 20)[200] == 20
        assert 1 <= len(told(one, LOST)) <= 2
        redis.resume()
        wait_until(lambda: len(told(one, BACK)) == len(told(one, LOST)), 30)
        assert ask(one, 60)[429] >= 50
        assert limits_check(one) == "ok"


def test_a_wrong_password_is_a_warning_and_is_never_told(service: Start, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with (
        RedisServer(tmp_path / "redis", password="another-one") as server,
        service(GYGO_REDIS_URL=server.url.replace("another-one", PASSWORD)) as one,
    ):
        assert set(ask(one, 5)) == {200}
        assert limits_check(one).startswith("local: ")
        log = one.log.read_text()
        assert "warning: redis: invalid username-password pair" in log
        assert "until it can be used, each worker counts limits for itself" in log
        assert PASSWORD not in log


def test_a_redis_that_is_not_there_does_not_stop_the_start(service: Start) -> None:
    with service(GYGO_REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0") as one:
        assert set(ask(one, 5)) == {200}
        assert limits_check(one).startswith("local: ")
        log = one.log.read_text()
        assert "warning: redis: Error 111 connecting to 127.0.0.1" in log
        assert PASSWORD not in log


def test_redis_may_speak_tls(service: Start, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    certificate = _certificate(tmp_path)
    with (
        RedisServer(tmp_path / "redis", password=PASSWORD, certificate=certificate) as server,
        service(GYGO_REDIS_URL=server.url) as one,
    ):
        assert ask(one, 40) == {200: 30, 429: 10}
        assert limits_check(one) == "ok"
        assert PASSWORD not in one.log.read_text()


def test_a_forged_address_is_not_believed_and_said_once(service: Start, redis: RedisServer) -> None:
    with service(GYGO_REDIS_URL=redis.url) as one:
        forged = [ask(one, 1, **{"X-Forwarded-For": f"198.51.100.{number}"}) for number in range(40)]
        assert sum(forged, Counter()) == {200: 30, 429: 10}
        lines = [line for line in one.lines() if line.get("event", "").startswith("X-Forwarded-For not believed")]
        assert 1 <= len(lines) <= 2  # once a worker
        assert {(line["peer"], line["setting"]) for line in lines} == {("127.0.0.1", "GYGO_TRUSTED_PROXIES")}


def _certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority; its key is beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "redis.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    path.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path
