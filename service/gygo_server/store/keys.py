"""Object keys: the layout of the bucket, and the only place that spells it.

::

    <dataset>/dataset.json                                  names the releases
    <dataset>/releases/<release>/catalogue.<sha256>.sqlite  immutable, content-addressed
    <dataset>/videos/<sha256>.tar                           immutable, content-addressed, shared by releases
    _keys/<id>.json                                         an API key: its hash, owner, scopes, limits, expiry
    _audit/<yyyy>/<mm>/<dd>/<time>-<random>.jsonl.gz        lines of the audit trail, of that day
    _webhooks/<id>.json                                     a webhook: its URL, signing secrets, what it was told

A catalogue's key holds its hash, so that two publications of one release never write the same object: the one that
``dataset.json`` names is the release, whatever else a killed publication left behind.
"""

from __future__ import annotations

import re
from datetime import date

from gygo_server.model import SLUG

#: Where the API keys are.
API_KEYS = "_keys/"

#: Where the audit trail is.
AUDIT = "_audit/"

#: Where the webhooks are.
WEBHOOKS = "_webhooks/"

_ID = re.compile(r"([a-z0-9]{10})\.json")


def dataset_file(dataset: str) -> str:
    return f"{dataset}/dataset.json"


def catalogue(dataset: str, release: str, sha256: str) -> str:
    return f"{dataset}/releases/{release}/catalogue.{sha256}.sqlite"


def archive(dataset: str, sha256: str) -> str:
    return f"{dataset}/videos/{sha256}.tar"


def api_key(key_id: str) -> str:
    return f"{API_KEYS}{key_id}.json"


def id_of_api_key(key: str) -> str | None:
    """The id of the API key that an object describes; None for objects that are none."""
    return _id_below(API_KEYS, key)


def audit_lines(name: str) -> str:
    """Where lines of the audit trail are; ``name`` begins with their day, as ``20260501``."""
    return f"{AUDIT}{name[:4]}/{name[4:6]}/{name[6:8]}/{name}.jsonl.gz"


def audit_day(day: date) -> str:
    """The prefix of a day's lines."""
    return f"{AUDIT}{day:%Y/%m/%d}/"


def webhook(hook_id: str) -> str:
    return f"{WEBHOOKS}{hook_id}.json"


def id_of_webhook(key: str) -> str | None:
    """The id of the webhook that an object describes; None for objects that are none."""
    return _id_below(WEBHOOKS, key)


def dataset_of_prefix(prefix: str) -> str | None:
    """The dataset that a top-level prefix (``gygo/``) stands for; None for others, such as ``_keys/``."""
    name = prefix.removesuffix("/")
    return name if SLUG.fullmatch(name) else None


def _id_below(prefix: str, key: str) -> str | None:
    match = _ID.fullmatch(key, len(prefix)) if key.startswith(prefix) else None
    return match[1] if match else None
