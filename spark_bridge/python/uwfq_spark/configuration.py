"""Puts the bridge into the configuration of a Spark application.

Three settings are all it takes: the plugin (which orders tasks), the session extension (which cuts
queries) and the service's address; and the jar that holds both classes.  The jar goes into
``spark.jars``: executors load the classes of ``spark.plugins`` too, and get them from there;
``spark.driver.extraClassPath`` alone would leave them without, and they would die.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from uwfq_spark.jar import jar_path, spark_at
from uwfq_spark.known_settings import LOCAL, PREFIX, SETTINGS

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

PLUGIN: Final = "io.uwfq.spark.UwfqPlugin"
EXTENSIONS: Final = "io.uwfq.spark.UwfqExtensions"

#: Lists, to which the bridge adds itself: others may be there.
_LISTS: Final = ("spark.plugins", "spark.sql.extensions", "spark.jars")

#: As the plugin takes it.
_TARGET: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/]+):(?P<port>[0-9]{1,5})")
_MOST_PORT: Final = 65_535

#: Of a properties file: blanks, a line that goes on in the next one (behind an odd number of
#: backslashes), and a key with its value, between them blanks, "=" or ":".
_BLANKS: Final = " \t\f"
_CONTINUED: Final = re.compile(r"(?<!\\)(\\\\)*\\$")
_PROPERTY: Final = re.compile(r"((?:\\.|[^\\ \t\f=:])*)[ \t\f]*[=:]?[ \t\f]*(.*)")

Value = str | int | float | bool
Builder = TypeVar("Builder", "SparkSession.Builder", "SparkConf")


def configure(
    builder: Builder,
    *,
    target: str,
    pyspark: str | os.PathLike[str] | None = None,
    **options: Value,
) -> Builder:
    """Add the bridge to a session builder, or to a ``SparkConf``; returns what it was given.

    Call it before ``getOrCreate()``, in the process that starts Spark.  Where the application runs
    already, with the bridge and these settings, there is nothing left to add.  Plugins, extensions
    and jars that are configured already stay: those of the builder, of ``spark-submit``'s command
    line or ``PYSPARK_SUBMIT_ARGS``, and of ``spark-defaults.conf``.

    Args:
        builder: ``SparkSession.builder`` or a ``SparkConf``.
        target: where the service listens, ``"host:port"``.
        pyspark: see ``jar_path``.
        options: every other setting ``spark.uwfq.*``, by its name in Python's spelling:
            ``default_user="nobody"`` is ``spark.uwfq.defaultUser``.

    Raises:
        TypeError: an unknown option; the message names those that exist.
        ValueError: ``target`` is not ``"host:port"``.
        RuntimeError: it is too late or the wrong place: Spark is running already with other
            settings or without the bridge's jar, ``PYSPARK_SUBMIT_ARGS`` names other jars alone, or
            the builder connects to a Spark Connect server, or starts one (``spark.api.mode``).
        UnsupportedSpark, JarNotFound: see ``jar_path``.
    """
    present = _present(builder)
    _refuse_connect(present)
    wanted = settings(target=target, pyspark=pyspark, **options)
    if _runs_with(wanted):
        return builder  # A notebook's cell, say, that is run again.
    _refuse_running(wanted["spark.jars"])
    inherited = {**_defaults(pyspark), **_submitted(wanted["spark.jars"]), **present}
    for key, value in wanted.items():
        _set(builder, key, _appended(inherited.get(key, ""), value) if key in _LISTS else value)
    return builder


def settings(
    *, target: str, pyspark: str | os.PathLike[str] | None = None, **options: Value
) -> dict[str, str]:
    """The settings that ``configure`` would add to an empty configuration.

    Raises:
        TypeError: an unknown option.
        ValueError: ``target`` is not ``"host:port"``.
        UnsupportedSpark, JarNotFound: see ``jar_path``.
    """
    match = _TARGET.fullmatch(target := target.strip())
    if match is None or not 1 <= int(match["port"]) <= _MOST_PORT:
        raise ValueError(f"target: {target!r} is not host:port, which is what Spark's driver takes")
    return {
        "spark.plugins": PLUGIN,
        "spark.sql.extensions": EXTENSIONS,
        "spark.jars": jar_path(pyspark),
        "spark.uwfq.target": target,
    } | {_key(name): _text(value) for name, value in options.items()}


def _key(name: str) -> str:
    """``default_user`` → ``spark.uwfq.defaultUser``."""
    keys = {_name(key): key for key in SETTINGS.keys() - {"target"}}
    if name in keys:
        return PREFIX + keys[name]
    if name in LOCAL:
        raise TypeError(f"{name!r} belongs to a thread: use `with uwfq_spark.user(...)` there")
    raise TypeError(f"unknown setting {name!r}; the settings are: {', '.join(sorted(keys))}")


def _name(key: str) -> str:
    """``partitioning.maxTasks`` → ``partitioning_max_tasks``."""
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), key.replace(".", "_"))


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _appended(present: str, value: str) -> str:
    items = [item.strip() for item in present.split(",") if item.strip()]
    return ",".join(items if _lists(present, value) else [*items, value])


def _lists(items: str, value: str) -> bool:
    """Whether it is there; a jar may be under another path, or a URI by ``spark-submit``."""
    return value.rpartition("/")[2] in (
        item.strip().rpartition("/")[2] for item in items.split(",")
    )


def _present(builder: SparkSession.Builder | SparkConf) -> Mapping[str, str]:
    """What the builder or the configuration holds already."""
    get_all = getattr(builder, "getAll", None)
    if get_all is not None:
        return dict(get_all())
    # A builder has no way to ask; both lines of Spark keep a dictionary of this name.
    return {key: str(value) for key, value in getattr(builder, "_options", {}).items()}


def _set(builder: Any, key: str, value: str) -> None:
    """A ``SparkConf`` sets what a builder configures."""
    change = builder.set if hasattr(builder, "set") else builder.config
    change(key, value)


def _defaults(pyspark: str | os.PathLike[str] | None) -> Mapping[str, str]:
    """What ``spark-defaults.conf`` says of the lists, which our values would replace."""
    directory = os.environ.get("SPARK_CONF_DIR")
    conf = Path(directory) if directory else spark_at(pyspark).home / "conf"
    return _lists_in(conf / "spark-defaults.conf")


def _lists_in(file: Path) -> Mapping[str, str]:
    """The lists in a properties file; none if it cannot be read."""
    try:
        # Like Spark, which puts up with other encodings.
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {key: value.strip() for key, value in _properties(text) if key in _LISTS}


def _properties(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values of one of Java's properties files, which Spark's is."""
    lines = iter(re.split(r"\r\n?|\n", text))
    for natural in lines:
        line = natural.lstrip(_BLANKS)
        while not line.startswith(("#", "!")) and _CONTINUED.search(line):
            line = line[:-1] + next(lines, "").lstrip(_BLANKS)
        match = _PROPERTY.match(line)
        if line and match and not line.startswith(("#", "!")):
            yield _unescaped(match[1]), _unescaped(match[2])


def _unescaped(text: str) -> str:
    def meant(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(match[2], match[2])

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", meant, text)


def _submitted(jar: str) -> Mapping[str, str]:
    """What the command line of ``spark-submit`` says of the lists, which our values would replace.

    A properties file that it names takes the place of ``spark-defaults.conf``.

    Raises ``RuntimeError`` if it names jars without ours: its ``--jars`` win over ``spark.jars``.
    """
    jvm = getattr(_context_class(), "_jvm", None)
    if jvm is not None:  # Which that has started, and told by its properties.
        told = {key: jvm.java.lang.System.getProperty(key) for key in _LISTS}
        return {key: value for key, value in told.items() if value}
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--conf", action="append", default=[])
    parser.add_argument("--jars")
    parser.add_argument("--properties-file", type=Path)
    parser.add_argument("--load-spark-defaults", action="store_true")
    arguments = parser.parse_args([])
    # What it cannot read, it will refuse itself.
    with contextlib.suppress(argparse.ArgumentError, ValueError):
        given = shlex.split(os.environ.get("PYSPARK_SUBMIT_ARGS", ""))
        arguments, _ = parser.parse_known_args(given)
    found = {key: value for key, _, value in (each.partition("=") for each in arguments.conf)}
    if arguments.jars:
        found["spark.jars"] = arguments.jars
    jars = found.get("spark.jars", "")
    if jars and not _lists(jars, jar):
        raise RuntimeError(
            f"PYSPARK_SUBMIT_ARGS names jars ({jars}), which take the place of spark.jars when "
            f"Spark's JVM starts: add the bridge's to them, {jar}"
        )
    inherited: dict[str, str] = {}
    if arguments.properties_file is not None:
        if not arguments.load_spark_defaults:
            inherited = dict.fromkeys(_LISTS, "")
        inherited |= _lists_in(arguments.properties_file)
    return inherited | {key: value for key, value in found.items() if key in _LISTS}


def _refuse_connect(present: Mapping[str, str]) -> None:
    remote = present.get("spark.remote") or os.environ.get("SPARK_REMOTE")
    if remote:
        raise RuntimeError(
            f"this session is a client of a Spark Connect server ({remote}); the bridge belongs "
            "into the server: start it with what `uwfq spark conf` prints"
        )
    if present.get("spark.api.mode", os.environ.get("SPARK_API_MODE", "")).lower() == "connect":
        raise RuntimeError(
            "spark.api.mode is connect: PySpark starts a Spark Connect server of its own then, "
            "with spark.plugins of its own in the place of any others; leave that out, or start a "
            "server with what `uwfq spark conf` prints, and connect to it"
        )


def _context_class() -> Any:
    """PySpark's ``SparkContext``; ``None``: nobody has imported it, so that nothing runs."""
    return getattr(sys.modules.get("pyspark"), "SparkContext", None)


def _active_context() -> Any:
    """Of the application that runs in this process; ``None``: none does."""
    return getattr(_context_class(), "_active_spark_context", None)


def _runs_with(wanted: Mapping[str, str]) -> bool:
    """Whether an application runs that was started with what is wanted, from whatever jar."""
    active = _active_context()
    if active is None:
        return False
    running = active.getConf()
    return all(
        value in (item.strip() for item in running.get(key, "").split(","))
        if key in _LISTS
        else running.get(key, "") == value
        for key, value in wanted.items()
        if key != "spark.jars"
    )


def _refuse_running(jar: str) -> None:
    """Raise if a JVM runs already that has not got the jar: it would not look for it again."""
    if _active_context() is not None:
        raise RuntimeError(
            "a Spark application is running in this process, without the bridge or with other "
            "settings of it, which are read at its start; "
            "stop it first (spark.stop()), or call configure() before the first getOrCreate()"
        )
    context = _context_class()
    started_by_submit = "PYSPARK_GATEWAY_PORT" in os.environ
    if context is None or not (started_by_submit or getattr(context, "_gateway", None)):
        return
    context._ensure_initialized()  # noqa: SLF001 - Connects to the JVM that is there.
    try:
        loader = context._jvm.java.lang.Thread.currentThread().getContextClassLoader()  # noqa: SLF001
        loader.loadClass(PLUGIN)
    except Exception as error:
        raise RuntimeError(
            f"Spark's JVM is running already, without the bridge's jar; add `--jars {jar}` to the "
            "command line of spark-submit"
            if started_by_submit
            else "Spark's JVM is running already, without the bridge's jar, and lives as long as "
            "this process; call configure() before the first session, or restart the kernel"
        ) from error
