"""Rounds of deliveries: what each webhook is to be told is found, and what is due is sent.

An attempt begins by writing, conditionally, that it has: of any number of deliverers one sends it. Its outcome is
written after. Who dies in between leaves an event that is due again a minute later, under the same ``webhook-id``: each
event comes at least once.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from gygo_server.errors import CorruptObjectError, GygoError, KeyRefusedError, NotFoundError
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.store.bucket import Bucket
from gygo_server.store.dataset_file import read_datasets
from gygo_server.webhooks import schedule
from gygo_server.webhooks.hook import Event, Hook
from gygo_server.webhooks.message import Message, ping_message, release_message, signed_headers
from gygo_server.webhooks.posting import SECONDS, Answer, Sender
from gygo_server.webhooks.registry import change_hook, find_hook, list_hooks
from gygo_server.webhooks.sight import find_caller, seen_by

#: Webhooks that are sent to at a time.
STREAMS = 32

Clock = Callable[[], datetime]


class Attempt(NamedTuple):
    """A message that was sent, or not, and what came of it; ``event`` is as it is after that."""

    hook_id: str
    event: Event
    answer: Answer


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a round may take: no attempt begins after ``begin_seconds``, none lasts longer than ``send_seconds``."""

    begin_seconds: float
    send_seconds: float = SECONDS


class Round(NamedTuple):
    """What a round did: its attempts, how many events are pending after it, and what could not be read or written."""

    attempts: list[Attempt]
    pending: int
    troubles: list[str]


class Deliverer:
    """Sends to the webhooks of one bucket. ``public_url`` is the service as users reach it, for links."""

    def __init__(self, bucket: Bucket, sender: Sender, public_url: str | None, clock: Clock | None = None) -> None:
        self._bucket = bucket
        self._sender = sender
        self._public_url = public_url
        self._clock = clock or (lambda: datetime.now(UTC))

    def round(self, limits: Limits, *, stop: threading.Event | None = None, only: str | None = None) -> Round:
        """Find what is to be told, and send what is due, to all webhooks at the same time and to each in turn.

        A receiver that fails is left alone until the next round. ``stop`` set, no attempt begins any more; ``only``
        is the id of the one webhook to send to.

        Raises:
            StoreError: the webhooks or datasets cannot be listed.
            NotFoundError: there is no webhook ``only``.
        """
        ends = time.monotonic() + limits.begin_seconds
        stop = stop or threading.Event()
        hooks = list(list_hooks(self._bucket)) if only is None else [find_hook(self._bucket, only)]
        troubles = [str(each) for each in hooks if isinstance(each, CorruptObjectError)]
        active = [each for each in hooks if isinstance(each, Hook) and not each.disabled]
        if not active:
            return Round([], 0, troubles)
        # With more webhooks than streams, it must not always be the same ones that get none.
        secrets.SystemRandom().shuffle(active)
        datasets, spoilt = read_datasets(self._bucket)

        def serve(hook: Hook) -> Round:
            attempts: list[Attempt] = []
            try:
                while time.monotonic() < ends and not stop.is_set():
                    attempt = self._attempt(hook.id, datasets, limits.send_seconds)
                    attempts += [attempt] if attempt else []
                    if attempt is None or not attempt.answer.is_success:
                        break
                return Round(attempts, len(find_hook(self._bucket, hook.id).pending), [])
            except (NotFoundError, KeyRefusedError):
                return Round(attempts, 0, [])  # removed in the meantime, or its key is no longer good
            except GygoError as error:
                return Round(attempts, 0, [f"webhook {hook.id}: {error}"])
            except Exception as error:  # noqa: BLE001  (whatever it is, the other webhooks are told)
                return Round(attempts, 0, [f"webhook {hook.id}: {type(error).__name__}: {error}"])

        with ThreadPoolExecutor(min(STREAMS, len(active)), "webhook") as pool:
            served = list(pool.map(serve, active))
        return Round(
            [attempt for each in served for attempt in each.attempts],
            sum(each.pending for each in served),
            [*troubles, *map(str, spoilt), *(trouble for each in served for trouble in each.troubles)],
        )

    def ping(self, hook_id: str) -> Answer:
        """Send a webhook a message that says nothing, once, also to a disabled one.

        Raises:
            NotFoundError, KeyRefusedError: there is no such webhook, or its API key is no longer good.
        """
        hook = find_hook(self._bucket, hook_id)
        at = self._clock()
        find_caller(self._bucket, hook.key_id, at)
        return self._send(hook, ping_message(hook, at), at, SECONDS)

    def _attempt(self, hook_id: str, datasets: Sequence[Dataset], seconds: float) -> Attempt | None:
        """Send the hook what is due, if anything is."""
        at = self._clock()
        seen: list[Dataset] = []
        taken: Event | None = None

        def take(hook: Hook) -> Hook:
            nonlocal seen, taken
            seen = seen_by(find_caller(self._bucket, hook.key_id, at), datasets)
            hook = hook if hook.disabled else schedule.noticed(hook, seen, at)
            found = schedule.due(hook, seen, at)
            taken = schedule.begun(found, at) if found else None
            return hook.with_event(taken) if taken else hook

        hook = change_hook(self._bucket, hook_id, take)
        if taken is None:
            return None
        dataset, entry = _found(seen, taken)
        answer = self._send(hook, release_message(taken, dataset, entry, self._public_url), at, seconds)
        return Attempt(hook_id, self._note(hook_id, taken, answer), answer)

    def _send(self, hook: Hook, message: Message, at: datetime, seconds: float) -> Answer:
        return self._sender.post(hook.url, signed_headers(hook, message, at), message.body, seconds)

    def _note(self, hook_id: str, event: Event, answer: Answer) -> Event:
        at = self._clock()

        def note(hook: Hook) -> Hook:
            # Removed by a withdrawal meanwhile, or delivered by another after our time was over: nothing to note.
            current = hook.event(event.id)
            return schedule.ended(hook, current, answer, at) if current and current.is_pending else hook

        return change_hook(self._bucket, hook_id, note).event(event.id) or event


def _found(seen: Sequence[Dataset], event: Event) -> tuple[Dataset, ReleaseEntry]:
    dataset = next(each for each in seen if each.id == event.subject.dataset)
    entry = dataset.release(event.subject.release)
    assert entry is not None  # noqa: S101  (only what is seen is due)
    return dataset, entry
