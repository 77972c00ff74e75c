"""Who asks, and what they may see: what one may not see does not exist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gygo_server.access.api_key import Action, ApiKey
from gygo_server.model import PUBLIC, Dataset, ReleaseEntry

_ALL = frozenset(Action)
_NOTHING: frozenset[Action] = frozenset()


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a key, or (None) without one, who asks at this time."""

    key: ApiKey | None
    at: datetime

    @classmethod
    def anonymous(cls) -> Caller:
        """Somebody without a key, now."""
        return cls(None, datetime.now(UTC))

    def actions(self, dataset: Dataset, entry: ReleaseEntry) -> frozenset[Action]:
        """What they may do with a release; nothing: it does not exist for them."""
        if self._allows(dataset) and self._allows(entry):
            return _ALL
        scopes = self.key.scopes if self.key else ()
        granted = [scope.actions for scope in scopes if scope.covers(dataset.id, entry.id)]
        return _NOTHING.union(*granted)

    def view(self, dataset: Dataset) -> Dataset | None:
        """The dataset as they see it: without the releases that they may not see; None: it does not exist for them."""
        if dataset.visibility == PUBLIC and all(entry.visibility == PUBLIC for entry in dataset.releases):
            return dataset
        scopes = self.key.scopes if self.key else ()
        if not (self._allows(dataset) or any(scope.in_dataset(dataset.id) for scope in scopes)):
            return None
        seen = tuple(entry for entry in dataset.releases if self.actions(dataset, entry))
        return replace(dataset, releases=seen)

    def _allows(self, what: Dataset | ReleaseEntry) -> bool:
        return what.visibility.allows(registered=self.key is not None, at=self.at)
