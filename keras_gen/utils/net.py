"""Asking within bounded time whether a host answers, before a library waits minutes for it."""

from __future__ import annotations

import threading


def connection_error(url: str, seconds: float = 10.0) -> str | None:
    """`None` if an HTTP request for `url` is answered in time, else the reason in a few words.

    Any answer of the host will do, "not found" too; of a proxy, not its message that it can't get through.
    The proxies of the environment are used.

    Args:
        url: an http or https address; only its headers are asked for.
        seconds: bound on the whole, name resolution included.
    """
    answer: list[str | None] = []
    # A thread, because the time-out of a socket bounds neither name resolution nor a chain of redirects.
    thread = threading.Thread(target=lambda: answer.append(_ask(url, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return answer[0] if answer else f"no answer within {seconds:g} s"


def _ask(url: str, seconds: float) -> str | None:
    import urllib.error  # here: what only lists or misspells should not wait for it
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
            return None
    except urllib.error.HTTPError as error:
        through = error.code != 407 and error.code < 500
        return None if through else f"HTTP {error.code} {error.reason}"
    except Exception as error:  # URLError, but also http.client's own exceptions and bare OSErrors
        return str(getattr(error, "reason", None) or error or type(error).__name__)
