"""Says whose the jobs of this thread are.

Spark carries *local properties* of the submitting thread to every job; the plugin reads the user
and the weight there.  Local properties belong to a thread of the JVM, and PySpark pairs each Python
thread with one ("pinned threads", its default).  So a ``with user(...)`` speaks for the thread that
runs it, and for the ``InheritableThread``s made inside; a plain ``threading.Thread`` starts with
nothing and says for itself whose it is.

A session, and the configuration of the application, can say the same by a setting, for what is
outside of any such block.  While Spark runs a query, it puts the settings of its session over the
local properties of the same names, if these begin with "spark"; so the properties of a block have
other names.

A Spark Connect client has no such threads.  There the user is whom the connection names, and the
server trusts that before any setting of the client.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import threading
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from uwfq_spark.known_settings import PREFIX, SETTINGS

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

_USER: Final = "user"
_WEIGHT: Final = "weight"
_SOURCES: Final = "userSources"
#: Begins the names of local properties that no setting of a session hides.
_THREAD_PREFIX: Final = "uwfq."

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

_P = ParamSpec("_P")
_R = TypeVar("_R")


def user(name: str, *, weight: float | None = None) -> _Block:
    """Let the jobs that this thread starts inside the block belong to a user.

    .. code-block:: python

        with uwfq_spark.user("alice", weight=2):
            spark.table("events").groupBy("country").count().show()

    Blocks nest: the inner one holds, and what was there before comes back after it.  It can
    decorate a function as well.  A block must not be left open across an ``await``, nor across a
    ``yield``: coroutines share their thread, and generators that of their callers.

    Args:
        name: the user.
        weight: what the jobs weigh among the user's other jobs, 0.001 to 1000000; 1 unless it is
            given.  Between users the weight of the user counts, which the service holds
            (``uwfq user set``).

    Raises:
        ValueError: a name without anything in it or with half of a surrogate pair, or a weight out
            of range.
        TypeError: the name is no text; it decorates a coroutine or a generator, which run when its
            block is over.
        RuntimeError: as it begins: no Spark application runs in this process, its threads are not
            pinned, or the session is a Spark Connect client's and connected as somebody else.
    """
    if not isinstance(name, str):
        raise TypeError(f"user: {name!r} is no text")
    if not counted_as(name):
        raise ValueError("user: the name is empty")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise ValueError(f"user: {name!r} has half of a surrogate pair, which is no character")
    if weight is not None and not _LEAST_WEIGHT <= weight <= _MOST_WEIGHT:
        raise ValueError(f"weight: {weight!r} is not a number from 0.001 to 1000000")
    return _Block(name, f"{1 if weight is None else weight:g}")


def current_user() -> str | None:
    """Whose this thread's queries are, if it was said; ``None``: nothing runs, or nobody said it.

    By a block of ``user``, else by ``spark.uwfq.user`` of the session or the application.  In a
    Spark Connect session: whom the connection names.
    """
    context = _context()
    session: Any = _connect_session() if context is None else _classic_session()
    if session is not None:
        setting = session.conf.get
    elif context is not None:
        setting = context.getConf().get
    else:
        return None
    if context is not None:
        named: dict[str, tuple[str | None, ...]] = {
            "property": (
                context.getLocalProperty(_THREAD_PREFIX + _USER),
                setting(PREFIX + _USER, None),
                context.getLocalProperty(PREFIX + _USER),
                context.getConf().get(PREFIX + _USER, None),
            )
        }
    else:
        named = {
            "connect": (_connected_as(session),),
            "property": (setting(PREFIX + _USER, None),),
        }
    sources = setting(PREFIX + _SOURCES, None) or SETTINGS[_SOURCES] or ""
    for source in sources.lower().split(","):
        for name in named.get(source.strip(), ()):
            if counted_as(name):
                return str(name)
    return None


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
    session = _connect_session() if _context() is None else _classic_session()
    if session is None:
        raise RuntimeError("no Spark session is active in this process: start one first")
    return session


class _Block:
    """What ``user`` gives: a context manager, and a decorator."""

    def __init__(self, name: str, weight: str) -> None:
        self._wanted = {_USER: name, _WEIGHT: weight}
        self._properties: _Threads | _Connected | None = None
        self._before: Mapping[str, str | None] = {}

    def __str__(self) -> str:
        return f"user({self._wanted[_USER]!r})"

    def __enter__(self) -> None:
        if self._properties is not None:
            raise RuntimeError("user: a block is opened once; call user() again for another")
        context = _context()
        name = self._wanted[_USER]
        self._properties = _Connected(name) if context is None else _Threads(context)
        self._before = {key: self._properties.get(key) for key in self._wanted}
        self._properties.set(self._wanted)
        _open_blocks().append(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._properties is None or self not in _open_blocks():
            return  # It was opened in another thread, whose properties are out of reach here.
        blocks = _open_blocks()
        place = blocks.index(self)
        del blocks[place]
        if place == len(blocks):
            self._properties.restore(self._before)
            return
        # What was there before this block comes back after the one that was opened next.
        later = blocks[place]
        later._before = self._before  # noqa: SLF001 - Another of this class.
        warnings.warn(
            f"the block of {self} ends within that of {later}, which was opened later: some jobs "
            "have counted as the other's. Do not leave a block open across an await or a yield",
            RuntimeWarning,
            stacklevel=2,
        )

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        runs_later = (
            inspect.isgeneratorfunction,
            inspect.iscoroutinefunction,
            inspect.isasyncgenfunction,
        )
        if any(kind(function) for kind in runs_later):
            raise TypeError(
                f"user: {function.__qualname__} is a coroutine or a generator, which runs when the "
                "block of its decorator is over: open the block where it asks Spark for something"
            )

        @functools.wraps(function)
        def as_user(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with _Block(self._wanted[_USER], self._wanted[_WEIGHT]):
                return function(*args, **kwargs)

        return as_user


#: Has the blocks that are open in each thread, the innermost last.
_of_thread: Final = threading.local()


def _open_blocks() -> list[_Block]:
    blocks: list[_Block] = _of_thread.__dict__.setdefault("blocks", [])
    return blocks


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
        value: str | None = self._context.getLocalProperty(_THREAD_PREFIX + key)
        return value

    def set(self, values: Mapping[str, str | None]) -> None:
        # Of the JVM, where null removes a property, which PySpark's types do not tell.
        properties = self._context._jsc  # noqa: SLF001
        if properties is None:
            return  # The application has ended meanwhile, and its properties with it.
        for key, value in values.items():
            properties.setLocalProperty(_THREAD_PREFIX + key, value)

    def restore(self, values: Mapping[str, str | None]) -> None:
        from py4j.protocol import Py4JNetworkError

        # A driver that was killed has taken its properties along, and what it did to the block's
        # own calls is all that there is to tell.
        with contextlib.suppress(Py4JNetworkError, ConnectionError):
            self.set(values)


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
        value: str | None = self._conf.get(PREFIX + key, None)
        return value

    def set(self, values: Mapping[str, str | None]) -> None:
        # The user is the connection's; only the weight is ours to say.
        weight = values[_WEIGHT]
        if weight is not None:
            self._conf.set(PREFIX + _WEIGHT, weight)
        else:
            self._conf.unset(PREFIX + _WEIGHT)

    def restore(self, values: Mapping[str, str | None]) -> None:
        self.set(values)


def _context() -> SparkContext | None:
    """The context of this process; a Connect client has none."""
    from pyspark import SparkContext

    return SparkContext._active_spark_context  # noqa: SLF001 - Asking for it would start one.


def _classic_session() -> SparkSession | None:
    """The session of a thread of the driver's, or of the process; ``None``: there is none yet."""
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() or SparkSession._instantiatedSession  # noqa: SLF001


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
