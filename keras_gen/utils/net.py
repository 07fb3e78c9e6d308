"""Check within bounded time whether a host answers, before a library waits minutes for it."""

from __future__ import annotations

import threading


def connection_error(url: str, seconds: float = 10.0) -> str | None:
    """Return `None` if an HTTP request for `url` is answered in time, else the reason in a few words.

    Any answer of the host counts, "not found" too, but not a proxy's message that it can't reach the host.
    The proxies of the environment are used.

    Args:
        url: str, an http or https address; only its headers are requested.
        seconds: float, time limit of the whole request, including name resolution. Defaults to 10.
    """
    answer: list[str | None] = []
    # A thread, because the timeout of a socket limits neither name resolution nor a chain of redirects.
    thread = threading.Thread(target=lambda: answer.append(_request(url, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return answer[0] if answer else f"no answer within {seconds:g} s"


def _request(url: str, seconds: float) -> str | None:
    import urllib.error  # slow to import, and rarely needed
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
            return None
    except urllib.error.HTTPError as error:
        is_reached = error.code != 407 and error.code < 500
        return None if is_reached else f"HTTP {error.code} {error.reason}"
    except Exception as error:  # URLError, but also http.client's own exceptions and bare OSErrors
        return str(getattr(error, "reason", None) or error or type(error).__name__)
