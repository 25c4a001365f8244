"""Says whose the jobs of this thread are.

Spark carries *local properties* of the submitting thread to every job; the plugin reads the user
and the weight there.  Local properties belong to a thread of the JVM, and PySpark pairs each Python
thread with one ("pinned threads", its default).  So a ``with user(...)`` speaks for the thread that
runs it, and for the ``InheritableThread``s made inside; a plain ``threading.Thread`` starts with
nothing and says for itself whose it is.

A Spark Connect client has no such threads.  There the user is whom the connection names, and the
server trusts that before any setting of the client.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

USER: Final = "spark.uwfq.user"
WEIGHT: Final = "spark.uwfq.weight"

#: What the service takes; for any other weight the plugin takes 1.
_LEAST_WEIGHT: Final = 0.001
_MOST_WEIGHT: Final = 1_000_000


#: White space as the plugin strips it: without the spaces that do not break a line.
_WHITE: Final = "".join(filter(str.isspace, map(chr, range(0x3001)))).translate(
    dict.fromkeys([0x85, 0xA0, 0x2007, 0x202F])
)
#: What the service takes, and what is left of a name that takes more beside "~" and a hash.
_NAME_BYTES: Final = 128
_KEPT_BYTES: Final = _NAME_BYTES - 17


@contextlib.contextmanager
def user(name: str, *, weight: float | None = None) -> Iterator[None]:
    """Let the jobs that this thread starts inside the block belong to a user.

    .. code-block:: python

        with uwfq_spark.user("alice", weight=2):
            spark.table("events").groupBy("country").count().show()

    Blocks nest: the inner one holds, and what was there before comes back after it.  It can
    decorate a function as well.  A block must not be left open across an ``await``: coroutines
    share their thread.

    Args:
        name: the user.
        weight: what the jobs weigh among the user's other jobs, 0.001 to 1000000; 1 unless it is
            given.  Between users the weight of the user counts, which the service holds
            (``uwfq user set``).

    Raises:
        ValueError: a name without anything in it, or a weight out of range.
        RuntimeError: no Spark application runs in this process, its threads are not pinned, or
            the session is a Spark Connect client's and connected as somebody else.
    """
    if not counted_as(name):
        raise ValueError("user: the name is empty")
    if weight is not None and not _LEAST_WEIGHT <= weight <= _MOST_WEIGHT:
        raise ValueError(f"weight: {weight!r} is not a number from 0.001 to 1000000")
    wanted = {USER: name, WEIGHT: None if weight is None else f"{weight:g}"}
    context = _context()
    properties = _Connected(name) if context is None else _Threads(context)
    before = {key: properties.get(key) for key in wanted}
    try:
        properties.set(wanted)
        yield
    finally:
        properties.set(before)


def current_user() -> str | None:
    """Whose this thread's jobs are, if it has been said; ``None``: nothing runs, or nothing said.

    In a Spark Connect session: whom the connection names.
    """
    context = _context()
    if context is not None:
        name: str | None = context.getLocalProperty(USER)
        return name
    session = _connect_session()
    return None if session is None else _connected_as(session)


def counted_as(name: str | None) -> str:
    """The name under which the service knows a user; "" when there is nothing in it.

    As the plugin makes it (``UserNames`` there): without white space around it, and with a hash
    instead of its end where it takes more than the service does.
    """
    # The encoding replaces halves of surrogate pairs, as Java's does.
    encoded = (name or "").strip(_WHITE).encode("utf-8", "replace")
    if len(encoded) <= _NAME_BYTES:
        return encoded.decode()
    # What is cut in the midst of a character is left out.
    kept = encoded[:_KEPT_BYTES].decode("utf-8", "ignore")
    return f"{kept}~{hashlib.sha256(encoded).hexdigest()[:16]}"


def active_session() -> SparkSession:
    """The session of this thread or, for threads that have none, of this process.

    Raises:
        RuntimeError: there is none.
    """
    session: SparkSession | None
    if _context() is not None:
        from pyspark.sql import SparkSession as Classic

        session = Classic.active()
    else:
        session = _connect_session()
    if session is None:
        raise RuntimeError("no Spark session is active in this process: start one first")
    return session


class _Threads:
    """The local properties of the calling thread."""

    def __init__(self, context: SparkContext) -> None:
        from py4j.clientserver import ClientServer

        if not isinstance(context._gateway, ClientServer):  # noqa: SLF001 - It tells the mode.
            raise RuntimeError(  # noqa: TRY004 - It is a mode, not a type, that is wrong.
                "PYSPARK_PIN_THREAD=false: Python's threads share those of the JVM, so what one of "
                "them says about its user would hold for the others; unset it"
            )
        self._context = context

    def get(self, key: str) -> str | None:
        value: str | None = self._context.getLocalProperty(key)
        return value

    def set(self, values: Mapping[str, str | None]) -> None:
        # Of the JVM, where null removes a property, which PySpark's types do not tell.
        properties = self._context._jsc  # noqa: SLF001
        if properties is None:
            return  # The application has ended meanwhile, and its properties with it.
        for key, value in values.items():
            properties.setLocalProperty(key, value)


class _Connected:
    """The configuration of the active Spark Connect session, for what it may say."""

    def __init__(self, name: str) -> None:
        session = active_session()
        connected_as = _connected_as(session)
        if name != connected_as:
            raise RuntimeError(
                f"this Spark Connect session is connected as {connected_as!r}, and the server "
                f"believes the connection: for {name!r} open one with "
                f"SparkSession.builder.remote('sc://host:port/;user_id={name}')"
            )
        self._conf = session.conf

    def get(self, key: str) -> str | None:
        value: str | None = self._conf.get(key, None)
        return value

    def set(self, values: Mapping[str, str | None]) -> None:
        # The user is the connection's; only the weight is ours to say.
        weight = values[WEIGHT]
        if weight is not None:
            self._conf.set(WEIGHT, weight)
        else:
            self._conf.unset(WEIGHT)


def _context() -> SparkContext | None:
    """The context of this process; a Connect client has none."""
    from pyspark import SparkContext

    return SparkContext._active_spark_context  # noqa: SLF001 - Asking for it would start one.


def _connect_session() -> Any:
    """The active Connect session; ``None`` without one, or without what Connect needs."""
    try:
        from pyspark.sql.connect.session import SparkSession
    except ImportError:
        return None
    # The thread's own, or the one that was made first, for threads that have made none.
    return SparkSession.getActiveSession() or SparkSession._default_session  # noqa: SLF001


def _connected_as(session: Any) -> str:
    """Whom the connection names."""
    name: str = session.client._user_id  # noqa: SLF001 - There is no public name for it.
    return name
