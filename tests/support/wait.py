"""Waiting for a condition with a deadline; never a fixed sleep."""

import time

PATIENCE_S = 60
INTERVAL_S = 0.05


def until(condition, what, patience_s=PATIENCE_S):
    """The first true value of `condition()`; fails with `what` and the last value otherwise.

    `what` may be a function, for what is known only then.
    """
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            what = what() if callable(what) else what
            raise AssertionError(f"not within {patience_s} s: {what} (last seen: {value!r})")
        time.sleep(INTERVAL_S)
