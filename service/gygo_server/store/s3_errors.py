"""botocore's errors and the connection's as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions

from gygo_server.errors import (
    CorruptObjectError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    StoreRefusedError,
    StoreSilentError,
    StoreUnavailableError,
)

_NOT_FOUND = frozenset({"NoSuchKey", "NotFound", "404"})
_LOST_RACE = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_BEYOND_END = frozenset({"InvalidRange", "416"})
#: Nobody there, or nobody who speaks in time. A stream that breaks off is not among them: somebody was there.
_SILENCE = (
    botocore.exceptions.ConnectTimeoutError,
    botocore.exceptions.EndpointConnectionError,
    botocore.exceptions.ReadTimeoutError,
)
#: What no waiting mends. botocore raises a bare ValueError for an endpoint that is no address.
_WRONG_SETTINGS = (
    botocore.exceptions.ParamValidationError,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.ConfigParseError,
    ValueError,
)


@contextmanager
def translated(key: str, *, missing: str = "object") -> Iterator[None]:
    """botocore's and the connection's exceptions as ours, most specific first."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _refusal(error, key, missing) from error
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
        raise StoreRefusedError("no S3 credentials were found (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …)") from error
    except RuntimeError as error:
        if "expired" not in str(error):
            raise
        # botocore has no better name for it.
        raise StoreRefusedError("the S3 credentials have ended, and there are no new ones") from error
    except _WRONG_SETTINGS as error:
        raise StoreRefusedError(f"the settings of the store cannot work: {error}".replace("\n", " ")) from error
    except _SILENCE as error:
        raise StoreSilentError(f"the store gives no answer ({type(error).__name__})") from error
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
        raise StoreUnavailableError(f"the store gives no answer ({type(error).__name__})") from error
    except botocore.exceptions.BotoCoreError as error:
        raise StoreUnavailableError(f"the store cannot be used ({type(error).__name__})") from error


def _refusal(error: botocore.exceptions.ClientError, key: str, missing: str) -> StoreError:
    """An answer of the store that is an error, as ours."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket" or (code in _NOT_FOUND and missing == "bucket"):
        return StoreRefusedError("the store has no such bucket")
    if code in _NOT_FOUND:
        return ObjectNotFoundError(f"{key}: no such object in the bucket")
    if code in _LOST_RACE:
        return PreconditionFailedError(f"{key}: written by somebody else in the meantime")
    if code in _BEYOND_END:
        return CorruptObjectError(f"{key}: the object is shorter than it was published")
    if status >= 500 or code in {"SlowDown", "RequestTimeout", "Throttling"}:
        return StoreUnavailableError(f"the store answers {status} {code}")
    why = code if code != str(status) else "see the credentials and what they may do" if status == 403 else ""
    return StoreRefusedError(f"the store refuses: {status} {why}".rstrip())
