"""What goes away: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) on answers, and a word in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from functools import wraps
from typing import Any

from flask import Response, after_this_request, request
from flask_smorest.utils import load_info_from_docstring
from werkzeug.http import http_date

from gygo_server.api.arguments import Decorator

#: Where people read what to do about it: the operation there says it.
_DOCUMENTATION = "/docs/"

#: Key under which an operation's document names deprecated parameters, until `contract.py` has marked them.
PARAMETERS = "x-deprecated-parameters"


def deprecated(*, since: date, sunset: date, instead: str, parameter: str | None = None) -> Decorator:
    """Announce that a route, or one parameter of its query, goes away; directly below the ``route`` decorator.

    All answers of the route say it, those that are errors too; of a parameter, answers to questions that have it. It
    works as before until ``sunset`` (both days begin at midnight, UTC). ``instead`` is what to use in its place: for a
    route, the path of its successor, which answers link to; for a parameter, the name of another one.

    Raises:
        ValueError: it would end before it begins.
    """
    if sunset <= since:
        raise ValueError(f"deprecated since {since}, it cannot end on {sunset}")
    until = f"until {sunset.isoformat()}; use `{instead}` instead."
    headers = [
        ("Deprecation", f"@{int(_midnight(since).timestamp())}"),
        ("Sunset", http_date(_midnight(sunset))),
        ("Link", f'<{_DOCUMENTATION}>; rel="deprecation"; type="text/html"'),
    ]
    if parameter is None:
        headers.append(("Link", f'<{instead}>; rel="successor-version"'))

    def announce(response: Response) -> Response:
        for name, value in headers:
            response.headers.add(name, value)
        return response

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if parameter is None or parameter in request.args:
                after_this_request(announce)
            return view(*args, **kwargs)

        documented = vars(wrapper).setdefault("_apidoc", {}).setdefault("manual_doc", {})
        if parameter is None:
            said = load_info_from_docstring(view.__doc__ or "").get("description", "")
            documented |= {"deprecated": True, "description": f"{said}\n\nDeprecated: it works {until}".strip()}
        else:
            documented.setdefault(PARAMETERS, {})[parameter] = f"Deprecated: it works {until}"
        return wrapper

    return decorate


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
