"""Charges each request to whoever asks, and refuses what they have no room for. What is charged: `limits/bill.py`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask import Flask, request

from gygo_server.access.addresses import network_of
from gygo_server.api.callers import caller, linked
from gygo_server.api.client_address import client_address
from gygo_server.api.costs import COSTS, REDIRECT, is_worked_out_anew
from gygo_server.api.sent_bytes import count_sent
from gygo_server.api.services import EXTENSION, Services
from gygo_server.errors import KeyRefusedError, LinkRefusedError
from gygo_server.limits.bill import Bill, Kind
from gygo_server.limits.counters import ADDRESS, Account
from gygo_server.limits.rate import parse_rate

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_BILL = "gygo.bill"

#: Answers of a known length up to this are taken as sent in whole: to count what went out costs more than they do.
COUNTED_FROM = 256 << 10


def register(app: Flask) -> None:
    """Ask for room before each request of ``app``."""
    app.before_request(_Admission(app.extensions[EXTENSION]))


def expect(size: int, urls: int = 0) -> None:
    """Say what the current request is going to give: ``size`` bytes to be sent or signed, in so many URLs.

    Raises:
        QuotaExceededError: it does not fit into what is left of the day.
    """
    bill = current_bill()
    if bill is not None:
        bill.expect(size, urls)


def sign(size: int, urls: int) -> None:
    """Say that the current request gives signed URLs of ``size`` bytes, all at once.

    Raises:
        QuotaExceededError: as :func:`expect`.
    """
    bill = current_bill()
    if bill is not None:
        bill.expect(size, urls)
        bill.gave(size, urls)


def current_bill() -> Bill | None:
    """That of the current request; None when there is nothing to charge, or nobody whom to."""
    found: Bill | None = request.environ.get(_BILL)
    return found


class Metered:
    """WSGI middleware that settles the bill: when the answer begins, as far as its length is known then, and again
    when a long one has ended, for what was really sent."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answered: list[tuple[int, int | None]] = []

        def start(status: str, headers: list[tuple[str, str]], *exception: Any) -> Any:
            bill: Bill | None = environ.get(_BILL)
            if bill is not None:
                code, length, public = int(status[:3]), None, False
                for name, value in headers:
                    if name == "Content-Length":
                        length = int(value)
                    elif name == "Cache-Control":
                        public = value.startswith("public")
                bill.answered(code, length)
                answered[:] = [(code, length)]
                # What a shared cache keeps goes to others too, whose limits are not these.
                if not public:
                    headers.extend(bill.fields())
            return start_response(status, headers, *exception)

        body = self._app(environ, start)
        if not answered or environ["REQUEST_METHOD"] == "HEAD":
            return body
        code, length = answered[0]
        if length is not None and length < COUNTED_FROM:
            return body
        bill: Bill = environ[_BILL]
        return count_sent(body, environ, length, lambda sent, _cut: bill.ended(code, sent))


class _Admission:
    """What is asked before each request of an application: whom it is charged to, and whether they have room."""

    def __init__(self, application: Services) -> None:
        self._settings = application.settings
        self._counters = application.counters
        self._signed_urls = application.signed_urls
        self._of_address = lru_cache(maxsize=4096)(self._account_of_address)

    def __call__(self) -> None:
        """Raises LimitError when the caller has no room for the least that the current request costs."""
        environ, endpoint = request.environ, request.endpoint
        method = environ["REQUEST_METHOD"]
        kind = Kind.DOCUMENT if endpoint is None else COSTS[endpoint]
        if kind is Kind.FREE or method == "OPTIONS":
            return
        refusal: KeyRefusedError | LinkRefusedError | None = None
        account = self._of_address(client_address())
        if endpoint is not None:  # else there is nothing there, whoever asks
            try:
                account = self._of_caller(account)
            except (KeyRefusedError, LinkRefusedError) as error:
                refusal = error
        if account.rate is not None or account.quota is not None:
            head = method == "HEAD"
            if endpoint == REDIRECT and not self._signed_urls.bind_method:
                head = False  # the Location that it gets is what GET gets
            anew = head and is_worked_out_anew(endpoint, request.args)
            environ[_BILL] = bill = Bill(self._counters, account, kind, head=head, anew=anew)
            bill.admit(perhaps_nothing="HTTP_IF_NONE_MATCH" in environ)
        if refusal is not None:
            raise refusal

    def _account_of_address(self, address: str) -> Account:
        name = ADDRESS + network_of(address)
        return Account(name, self._settings.rate_anonymous, name, self._settings.quota_anonymous)

    def _of_caller(self, address: Account) -> Account:
        """The key's; for who comes by a link its bytes are the key's, but a page of many links does not stop it."""
        key, settings = caller().key, self._settings
        if key is None:
            return address
        name = f"key {key.id}"
        quota = settings.quota_key if key.quota_bytes is None else key.quota_bytes
        if linked():
            return Account(address.name, address.rate, name, quota)
        return Account(name, settings.rate_key if key.rate is None else parse_rate(key.rate), name, quota)
