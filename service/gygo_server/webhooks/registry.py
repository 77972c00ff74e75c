"""Webhooks in the bucket: made, changed and removed. Each is one object, written only if nobody else has meanwhile.

What a webhook was told is in the same object as its URL, so none of both is ever there without the other, and two
deliverers cannot both begin the same attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gygo_server.access.token import new_id
from gygo_server.errors import CorruptObjectError, HookChangeError, NotFoundError
from gygo_server.model import SLUG
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket
from gygo_server.store.small_objects import change_object, list_objects
from gygo_server.webhooks import hook_file, schedule
from gygo_server.webhooks.hook import Hook, SigningSecret, Subject
from gygo_server.webhooks.message import new_secret

#: Characters of a description, at most.
MAX_DESCRIPTION = 1024


@dataclass(frozen=True, slots=True)
class Order:
    """A webhook that is wanted. ``url`` was checked; ``known`` are releases that it is not to be told of."""

    url: str
    description: str | None = None
    key_id: str | None = None
    datasets: tuple[str, ...] = ()
    known: frozenset[Subject] = frozenset()


def add_hook(bucket: Bucket, order: Order) -> tuple[Hook, str]:
    """Make a webhook: what the bucket keeps, and its signing secret, which is not shown again.

    Raises:
        HookChangeError: a dataset's id cannot be one, or the description is too long.
    """
    if order.description and len(order.description) > MAX_DESCRIPTION:
        raise HookChangeError(f"the description has more than {MAX_DESCRIPTION} characters")
    for dataset in order.datasets:
        if not SLUG.fullmatch(dataset):
            raise HookChangeError(f"dataset {dataset!r}: no dataset can have this id")
    secret = new_secret()
    hook = Hook(
        id=new_id(),
        url=order.url,
        secrets=(SigningSecret(secret),),
        created_at=_now(),
        description=order.description or None,
        key_id=order.key_id,
        datasets=order.datasets,
        known=order.known,
    )
    bucket.put(keys.webhook(hook.id), hook_file.encode(hook), replaces=None)
    return hook, secret


def list_hooks(bucket: Bucket) -> Iterator[Hook | CorruptObjectError]:
    """All webhooks, in the order of their ids; in place of one that cannot be read, why."""
    return list_objects(bucket, keys.WEBHOOKS, keys.id_of_webhook, hook_file.decode)


def find_hook(bucket: Bucket, hook_id: str) -> Hook:
    """The webhook with this id.

    Raises:
        NotFoundError: there is none.
    """
    stored = bucket.find(keys.webhook(hook_id)) if _can_be(hook_id) else None
    if stored is None:
        raise _missing(hook_id)
    return hook_file.decode(stored.content, hook_id)


def change_hook(bucket: Bucket, hook_id: str, change: Callable[[Hook], Hook]) -> Hook:
    """Write a webhook anew if nobody else has since it was read; otherwise read it again and try again.

    Raises:
        NotFoundError, HookChangeError: there is none (any more), or others write it all the time.
    """
    if not _can_be(hook_id):
        raise _missing(hook_id)

    def change_found(hook: Hook | None) -> Hook:
        if hook is None:
            raise _missing(hook_id)
        return change(hook)

    changed = change_object(
        bucket,
        keys.webhook(hook_id),
        change_found,
        decode=lambda content: hook_file.decode(content, hook_id),
        encode=hook_file.encode,
    )
    if changed is None:
        raise HookChangeError(f"webhook {hook_id} is changed by others all the time; try again")
    return changed


def remove_hook(bucket: Bucket, hook_id: str) -> None:
    """Remove a webhook, with all that it was told and was to be told.

    Raises:
        NotFoundError: there is none.
    """
    # One that cannot be read can still be removed.
    if not (_can_be(hook_id) and bucket.size(keys.webhook(hook_id)) is not None):
        raise _missing(hook_id)
    bucket.delete(keys.webhook(hook_id))


def enable_hook(bucket: Bucket, hook_id: str) -> Hook:
    """Send to a webhook again, also what it has missed; what is pending is due at once.

    Raises:
        NotFoundError: there is none.
    """
    return change_hook(bucket, hook_id, lambda hook: schedule.hurried(replace(hook, disabled=None), _now()))


def disable_hook(bucket: Bucket, hook_id: str, why: str) -> Hook:
    """Send nothing to a webhook until it is enabled again.

    Raises:
        NotFoundError: there is none.
    """
    return change_hook(bucket, hook_id, lambda hook: replace(hook, disabled=hook.disabled or why))


def rotate_secret(bucket: Bucket, hook_id: str, overlap: timedelta) -> tuple[Hook, str]:
    """Give a webhook another signing secret: the old one signs too, for as long as ``overlap``.

    Raises:
        NotFoundError: there is none.
    """
    secret = new_secret()

    def change(hook: Hook) -> Hook:
        now = _now()
        ends = now + overlap
        old = [SigningSecret(each.text, min(each.expires_at or ends, ends)) for each in hook.secrets]
        good = [each for each in old if each.expires_at and each.expires_at > now]
        return replace(hook, secrets=(SigningSecret(secret), *good))

    return change_hook(bucket, hook_id, change), secret


def revive(bucket: Bucket, hook_id: str, event_id: str | None) -> Hook:
    """Have a webhook's dead letters (or the one with this id) sent again.

    Raises:
        NotFoundError, HookChangeError: there is no such webhook, or no such dead letter.
    """
    return change_hook(bucket, hook_id, lambda hook: schedule.revived(hook, event_id, _now()))


def _can_be(hook_id: str) -> bool:
    return keys.id_of_webhook(keys.webhook(hook_id)) is not None


def _missing(hook_id: str) -> NotFoundError:
    return NotFoundError("webhook", f"there is no webhook {hook_id!r}")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
