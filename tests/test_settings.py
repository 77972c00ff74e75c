"""Settings: each has a default and limits, what is wrong is told in one line, and no secret is ever shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gygo_server.access.addresses import TrustedProxies
from gygo_server.errors import SettingsError
from gygo_server.limits.rate import Rate
from gygo_server.settings import SettingDescription, Settings, describe_settings
from gygo_server.store.bucket import S3Settings

REPOSITORY = Path(__file__).parents[1]
LEAST = {"GYGO_BUCKET": "datasets"}


def read(**more: str) -> Settings:
    return Settings.from_env({**LEAST, **more})


def get(settings: Settings, variable: str) -> Any:
    """A setting's value by the name of its variable."""
    name = variable.removeprefix("GYGO_").lower()
    if name.startswith("cloudfront_"):
        return settings.cloudfront and getattr(settings.cloudfront, name.removeprefix("cloudfront_"))
    return (
        getattr(settings.s3, name.removeprefix("s3_"))
        if name.startswith("s3_") or name == "bucket"
        else getattr(settings, name)
    )


DEFAULTS: dict[str, Any] = {
    "GYGO_BUCKET": "datasets",
    "GYGO_S3_ENDPOINT": None,
    "GYGO_S3_PUBLIC_ENDPOINT": None,
    "GYGO_S3_REGION": "us-east-1",
    "GYGO_S3_ADDRESSING": "auto",
    "GYGO_S3_TIMEOUT": 10.0,
    "GYGO_URL_SECONDS": 3600,
    "GYGO_URL_MAX_SECONDS": 604800,
    "GYGO_URL_BUCKET_SECONDS": 900,
    "GYGO_CLOUDFRONT_URL": None,
    "GYGO_CLOUDFRONT_KEY_ID": None,
    "GYGO_CLOUDFRONT_KEY_FILE": None,
    "GYGO_CACHE_DIR": Path("~/.cache/gygo-server").expanduser(),
    "GYGO_CACHE_BYTES": 20 * 10**9,
    "GYGO_CATALOGUE_CACHE_BYTES": 20 * 10**9,
    "GYGO_REFRESH_SECONDS": 5.0,
    "GYGO_KEY_REFRESH_SECONDS": 10.0,
    "GYGO_LINK_SECRETS": (),
    "GYGO_LINK_MAX_SECONDS": 30 * 86400,
    "GYGO_RATE_ANONYMOUS": Rate(6000, 60),
    "GYGO_RATE_KEY": Rate(60000, 60),
    "GYGO_QUOTA_ANONYMOUS": None,
    "GYGO_QUOTA_KEY": None,
    "GYGO_REDIS_URL": None,
    "GYGO_TRUSTED_PROXIES": TrustedProxies(),
    "GYGO_PUBLIC_URL": None,
    "GYGO_WEBHOOK_NETWORKS": (),
    "GYGO_ANSWERS_BYTES": 64 * 10**6,
    "GYGO_CORS_ORIGINS": ("*",),
    "GYGO_BIND": "127.0.0.1:8000",
    "GYGO_WORKERS": 2,
    "GYGO_THREADS": 8,
    "GYGO_WORKER_TIMEOUT": 60,
    "GYGO_CLIENT_SECONDS": 20.0,
    "GYGO_GRACEFUL_SECONDS": 30,
    "GYGO_LOG_LEVEL": "info",
    "GYGO_LOG_REQUESTS": True,
    "GYGO_AUDIT": "none",
    "GYGO_AUDIT_ANONYMOUS": True,
    "GYGO_AUDIT_SECONDS": 60.0,
}

#: Least and greatest value of each setting that is a number.
LIMITS: dict[str, tuple[float, float]] = {
    "GYGO_S3_TIMEOUT": (0.1, 600),
    "GYGO_URL_SECONDS": (60, 604800),
    "GYGO_URL_BUCKET_SECONDS": (0, 86400),
    "GYGO_REFRESH_SECONDS": (0.1, 3600),
    "GYGO_KEY_REFRESH_SECONDS": (0.1, 50),
    "GYGO_LINK_MAX_SECONDS": (60, 366 * 86400),
    "GYGO_WORKERS": (1, 256),
    "GYGO_THREADS": (1, 256),
    "GYGO_WORKER_TIMEOUT": (1, 3600),
    "GYGO_CLIENT_SECONDS": (0.5, 600),
    "GYGO_GRACEFUL_SECONDS": (1, 3600),
    "GYGO_AUDIT_SECONDS": (0.1, 3600),
}

RATES = ("GYGO_RATE_ANONYMOUS", "GYGO_RATE_KEY")
QUOTAS = ("GYGO_QUOTA_ANONYMOUS", "GYGO_QUOTA_KEY")
SIZES = ("GYGO_CACHE_BYTES", "GYGO_CATALOGUE_CACHE_BYTES", "GYGO_ANSWERS_BYTES")
ADDRESSES = ("GYGO_S3_ENDPOINT", "GYGO_S3_PUBLIC_ENDPOINT", "GYGO_PUBLIC_URL")

REDIS_URLS = (
    "redis://localhost",
    "rediss://user:p%40ss@redis.example.org:6380/3",
    "unix:///run/redis.sock?db=1",
    "rediss://h?ssl_ca_certs=/f",
)
REDIS_PARAMETERS = ("timeout=5", "foo=1", "retry=foo", "retry_on_error=foo", "max_connections=-1", "ssl_ca_certs=/file")

GOOD: list[tuple[str, str, Any]] = [
    ("GYGO_BUCKET", "abc", "abc"),
    ("GYGO_BUCKET", "b" * 63, "b" * 63),
    ("GYGO_BUCKET", "my.bucket-1", "my.bucket-1"),
    ("GYGO_S3_REGION", "eu-central-1", "eu-central-1"),
    ("GYGO_S3_ADDRESSING", "path", "path"),
    ("GYGO_S3_ADDRESSING", "virtual", "virtual"),
    ("GYGO_CACHE_DIR", "/srv/cache", Path("/srv/cache")),
    ("GYGO_CACHE_DIR", "~/c", Path.home() / "c"),
    ("GYGO_CACHE_BYTES", "0", 0),
    ("GYGO_ANSWERS_BYTES", "512", 512),
    ("GYGO_CATALOGUE_CACHE_BYTES", "1MB", 10**6),
    *((variable, "500MB", 500 * 10**6) for variable in SIZES),
    *((variable, " 20 GiB ", 20 * 2**30) for variable in SIZES),
    *((variable, "3tib", 3 * 2**40) for variable in SIZES),
    *((variable, "http://127.0.0.1:9000", "http://127.0.0.1:9000") for variable in ADDRESSES),
    *((variable, "https://s3.example.org/", "https://s3.example.org/") for variable in ADDRESSES),
    *((variable, "http://[::1]:9000", "http://[::1]:9000") for variable in ADDRESSES),
    *((variable, "http://seaweedfs:8333", "http://seaweedfs:8333") for variable in ADDRESSES),
    ("GYGO_URL_MAX_SECONDS", "3600", 3600),
    ("GYGO_URL_MAX_SECONDS", "604800", 604800),
    ("GYGO_CORS_ORIGINS", "https://a.example, https://b.example", ("https://a.example", "https://b.example")),
    ("GYGO_LINK_SECRETS", "a" * 32, ("a" * 32,)),
    ("GYGO_LINK_SECRETS", f"{'a' * 32}, {'b' * 40}", ("a" * 32, "b" * 40)),
    ("GYGO_WEBHOOK_NETWORKS", "10.1.0.0/16, fd00:1::/64", (ip_network("10.1.0.0/16"), ip_network("fd00:1::/64"))),
    ("GYGO_WEBHOOK_NETWORKS", "127.0.0.1", (ip_network("127.0.0.1/32"),)),
    ("GYGO_BIND", "0.0.0.0:80", "0.0.0.0:80"),
    ("GYGO_BIND", "[::]:65535", "[::]:65535"),
    ("GYGO_BIND", "unix:/run/gygo.sock", "unix:/run/gygo.sock"),
    *(("GYGO_LOG_LEVEL", level, level) for level in ("debug", "info", "warning", "error")),
    ("GYGO_LOG_REQUESTS", "false", False),
    ("GYGO_LOG_REQUESTS", "1", True),
    *(("GYGO_AUDIT", text, text) for text in ("none", "stdout", "bucket", "file:/var/log/gygo audit.jsonl")),
    ("GYGO_AUDIT_ANONYMOUS", "false", False),
    *((variable, " 100/second ", Rate(100, 1)) for variable in RATES),
    *((variable, "none", None) for variable in (*RATES, *QUOTAS)),
    *((variable, "10GB", 10**10) for variable in QUOTAS),
    *((variable, "0", 0) for variable in QUOTAS),
    *(("GYGO_REDIS_URL", url, url) for url in REDIS_URLS),
    ("GYGO_TRUSTED_PROXIES", "unix, 10.0.0.0/8 ,::1", TrustedProxies(["unix", "10.0.0.0/8", "::1"])),
    *((variable, str(bound), bound) for variable, bounds in LIMITS.items() for bound in bounds),
]

BAD: list[tuple[str, str]] = [
    ("GYGO_BUCKET", "ab"),
    ("GYGO_BUCKET", "b" * 64),
    ("GYGO_BUCKET", "with blanks"),
    ("GYGO_BUCKET", "a/b/c"),
    ("GYGO_S3_ADDRESSING", "both"),
    ("GYGO_CACHE_DIR", "~gygo-nobody-of-this-name/cache"),
    ("GYGO_CATALOGUE_CACHE_BYTES", "0"),  # without any, no release could be read
    *((variable, text) for variable in SIZES for text in ("-1", "1.5GB", "many", "GB", "10 apples", "1e9")),
    *(
        (variable, text)
        for variable in ADDRESSES
        for text in (
            "s3.example.org",
            "ftp://s3.example.org",
            "http://",
            "http://:9000",
            "http://two..dots",
            "http://s3.example.org:port",
            "http://s3.example.org:99999",
            "http://s3.example.org/path",
            "http://s3.example.org?a=b",
            "http://s3.example.org\nhttp://other",
            "http://[::1",
        )
    ),
    ("GYGO_LINK_SECRETS", "b" * 31),
    ("GYGO_LINK_SECRETS", f"{'a' * 32},short"),
    *(("GYGO_WEBHOOK_NETWORKS", text) for text in ("all", "10.1.0.0/33", "10.1.2.3/16", "10.1", "10.1.0.0/16;::1")),
    ("GYGO_BIND", "8000"),
    ("GYGO_BIND", "localhost"),
    ("GYGO_BIND", "localhost:http"),
    ("GYGO_BIND", "127.0.0.1:65536"),
    ("GYGO_BIND", "unix:"),
    ("GYGO_LOG_LEVEL", "loud"),
    ("GYGO_LOG_REQUESTS", "perhaps"),
    *(("GYGO_AUDIT", text) for text in ("yes", "file:", "file:audit.jsonl", "/var/log/audit.jsonl", "buckets")),
    ("GYGO_AUDIT_ANONYMOUS", "perhaps"),
    *((variable, text) for variable in LIMITS for text in ("many", "nan", "inf", "-5", "1e300", "12 s")),
    *((variable, "0") for variable, (least, _) in LIMITS.items() if least > 0),
    *(("GYGO_URL_MAX_SECONDS", text) for text in ("many", "0", "59", "604801", "3599")),
    ("GYGO_CLOUDFRONT_URL", "d111.cloudfront.net"),
    *((variable, text) for variable in RATES for text in ("6000", "0/minute", "many/minute", "6000/week", "None")),
    *((variable, text) for variable in QUOTAS for text in ("-1", "much", "1.5GB")),
    *(
        ("GYGO_REDIS_URL", text)
        for text in ("localhost:6379", "http://localhost", "redis://", "redis://a:b", "unix://")
    ),
    *(("GYGO_TRUSTED_PROXIES", text) for text in ("proxy", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.1;10.0.0.2")),
    *((variable, str(most + 1)) for variable, (_, most) in LIMITS.items()),
    *((variable, "2.5") for variable in LIMITS if isinstance(DEFAULTS[variable], int)),
]


def test_every_setting_is_tested_here() -> None:
    assert {setting.variable for setting in describe_settings()} == set(DEFAULTS)


@pytest.mark.parametrize("variable", DEFAULTS)
def test_a_setting_that_is_not_given_has_its_default(variable: str) -> None:
    assert get(read(), variable) == DEFAULTS[variable]


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("variable", [variable for variable in DEFAULTS if variable != "GYGO_BUCKET"])
def test_an_empty_variable_is_one_that_is_not_given(variable: str, empty: str) -> None:
    assert get(read(**{variable: empty}), variable) == DEFAULTS[variable]


@pytest.mark.parametrize(("variable", "text", "value"), GOOD)
def test_a_good_value_is_taken(variable: str, text: str, value: Any) -> None:
    assert get(read(**{variable: text}), variable) == value


@pytest.mark.parametrize(("variable", "text"), BAD)
def test_a_wrong_value_is_one_line_that_names_the_variable(variable: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{variable: text})
    line = str(caught.value)
    assert re.fullmatch(rf"{variable}: \S.+", line)
    assert line.count("GYGO_") == 1


@pytest.mark.parametrize("environment", [{}, {"GYGO_BUCKET": ""}])
def test_a_missing_bucket_says_so(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^GYGO_BUCKET: is not set$"):
        Settings.from_env(environment)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"GYGO_WORKERS": "none", "GYGO_S3_ENDPOINT": "nowhere", "GYGO_CACHE_BYTES": "much"})
    line = str(caught.value)
    assert "\n" not in line
    assert {part.split(":")[0] for part in line.split("; ") if part.startswith("GYGO_")} == {
        "GYGO_BUCKET",
        "GYGO_WORKERS",
        "GYGO_S3_ENDPOINT",
        "GYGO_CACHE_BYTES",
    }


def test_other_variables_are_none_of_its_business() -> None:
    assert read(PATH="/bin", BUCKET="other", gygo_workers="9", GYGO_VOS_SAMPLES="/x") == read()


def test_the_settings_of_the_process_are_read_when_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GYGO_BUCKET", "of-the-process")
    assert Settings.from_env().s3.bucket == "of-the-process"


def test_settings_never_change() -> None:
    with pytest.raises(FrozenInstanceError):
        read().workers = 3  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        read().s3.bucket = "other"  # type: ignore[misc]


def test_credentials_are_never_shown() -> None:
    settings = read(
        AWS_ACCESS_KEY_ID="id-of-mine", AWS_SECRET_ACCESS_KEY="secret-of-mine", AWS_SESSION_TOKEN="token-of-mine"
    )
    for text in (repr(settings), str(settings), repr(settings.s3), str(settings.s3)):
        assert "of-mine" not in text


@pytest.mark.parametrize("variable", ADDRESSES)
def test_a_password_in_an_address_is_refused_and_not_repeated(variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{variable: "http://user:hunter2@s3.example.org"})
    assert variable in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://:hunter2@:nonsense", "redis://:hunter2@host:port", "http://:hunter2@host"])
def test_the_password_of_redis_is_not_told_when_its_address_is_wrong(url: str) -> None:
    with pytest.raises(SettingsError, match="GYGO_REDIS_URL") as caught:
        read(GYGO_REDIS_URL=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("parameters", REDIS_PARAMETERS)
def test_parameters_that_redis_does_not_take_are_refused_without_its_password(parameters: str) -> None:
    with pytest.raises(SettingsError, match=r"^GYGO_REDIS_URL: [^\n]*parameter[^\n]*$") as caught:
        read(GYGO_REDIS_URL=f"redis://:hunter2@localhost/0?{parameters}")
    assert "hunter2" not in str(caught.value)


def test_the_password_of_redis_is_not_shown() -> None:
    assert "hunter2" not in repr(read(GYGO_REDIS_URL="redis://:hunter2@localhost"))


def test_the_store_gets_its_own_settings() -> None:
    settings = read(GYGO_S3_ENDPOINT="http://in:1", GYGO_S3_PUBLIC_ENDPOINT="http://out:2", GYGO_S3_TIMEOUT="3")
    assert settings.s3 == S3Settings("datasets", "http://in:1", "http://out:2", "us-east-1", "auto", 3.0)


def test_urls_cannot_be_good_for_longer_than_the_longest() -> None:
    assert read(GYGO_URL_SECONDS="7200", GYGO_URL_MAX_SECONDS="7200").url_max_seconds == 7200
    with pytest.raises(SettingsError, match=r"^GYGO_URL_MAX_SECONDS: less than the 7200 s"):
        read(GYGO_URL_SECONDS="7200", GYGO_URL_MAX_SECONDS="7199")


# CloudFront


@pytest.fixture
def cloudfront(tmp_path: Path) -> dict[str, str]:
    """All of its settings."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {
        "GYGO_CLOUDFRONT_URL": "https://d111.cloudfront.net",
        "GYGO_CLOUDFRONT_KEY_ID": "K2JCJMDEHXQW5F",
        "GYGO_CLOUDFRONT_KEY_FILE": str(path),
    }


def test_cloudfront_has_its_settings_and_its_key_is_not_shown(cloudfront: dict[str, str]) -> None:
    settings = read(**cloudfront)
    assert {variable: str(get(settings, variable)) for variable in cloudfront} == cloudfront
    assert "PRIVATE" not in repr(settings)


@pytest.mark.parametrize("missing", ["URL", "KEY_ID", "KEY_FILE"])
def test_some_of_cloudfront_s_settings_are_not_enough(cloudfront: dict[str, str], missing: str) -> None:
    del cloudfront[f"GYGO_CLOUDFRONT_{missing}"]
    with pytest.raises(SettingsError, match=rf"^GYGO_CLOUDFRONT_{missing}: is not set"):
        read(**cloudfront)


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), ("nonsense", "not a private key in PEM")])
def test_a_key_that_cannot_sign_stops_the_start(cloudfront: dict[str, str], content: str | None, why: str) -> None:
    path = Path(cloudfront["GYGO_CLOUDFRONT_KEY_FILE"])
    path.unlink()
    if content:
        path.write_text(content)
    with pytest.raises(SettingsError, match=rf"^GYGO_CLOUDFRONT_KEY_FILE: \S+key\.pem: {why}[^\n]*$"):
        read(**cloudfront)


def test_cloudfront_without_the_library_for_it_says_what_to_install(cloudfront: dict[str, str]) -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from gygo_server.settings import Settings\n"
        "from gygo_server.errors import SettingsError\n"
        "try: Settings.from_env()\n"
        "except SettingsError as error: print(error)\n"
    )
    environment = {**os.environ, **LEAST, **cloudfront}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "pip install 'gygo-server[cloudfront]'" in done.stdout


# The command line and the documentation


def test_serve_stops_at_once_with_one_line(gygo_server: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = gygo_server("serve", GYGO_WORKERS="many", GYGO_BIND="nowhere")
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"error: GYGO_\S+: [^\n]+; GYGO_\S+: [^\n]+\n", done.stderr)


@pytest.fixture(scope="session")
def serve_help() -> str:
    command = [str(Path(sys.executable).parent / "gygo-server"), "serve", "--help"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("setting", describe_settings(), ids=lambda setting: setting.variable)
def test_help_lists_the_setting_with_what_it_is_for(serve_help: str, setting: SettingDescription) -> None:
    [line] = [line for line in serve_help.splitlines() if re.match(rf"\s*{setting.variable}\s", line)]
    assert setting.about in line
    assert setting.default in line


@pytest.mark.parametrize("setting", describe_settings(), ids=lambda setting: setting.variable)
def test_the_readme_has_the_setting_in_its_table(setting: SettingDescription) -> None:
    rows = [line for line in (REPOSITORY / "README.md").read_text().splitlines() if line.startswith("|")]
    [row] = [row for row in rows if f"`{setting.variable}`" in row.split("|")[1]]
    assert setting.default in row


def test_the_readme_names_no_setting_that_does_not_exist() -> None:
    known = {setting.variable for setting in describe_settings()} | {"GYGO_VOS_SAMPLES", "GYGO_API_KEY"}
    assert set(re.findall(r"\bGYGO_[A-Z0-9_]+", (REPOSITORY / "README.md").read_text())) <= known


@pytest.mark.parametrize(
    "origins", ["null", "https://a.example/", "https://A.example", "a.example", "*.example", "https://a.example, null"]
)
def test_what_no_browser_sends_is_no_origin(origins: str) -> None:
    with pytest.raises(SettingsError, match=r"GYGO_CORS_ORIGINS: .* is not an origin"):
        read(GYGO_CORS_ORIGINS=origins)


def test_origins_are_taken_as_browsers_write_them() -> None:
    read_origins = read(GYGO_CORS_ORIGINS="https://a.example, http://localhost:3000,http://[::1]:8080").cors_origins
    assert read_origins == ("https://a.example", "http://localhost:3000", "http://[::1]:8080")
