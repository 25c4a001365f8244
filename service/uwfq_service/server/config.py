"""Configuration: command line over environment over file, checked at start, every error by its key.

``load`` gathers the settings that were given (*leaves*: a dotted path, its value, where it stood),
lets the stronger source win, and builds one immutable ``Config``.  All problems are reported at
once, each with the key, the place and the remedy.  Which settings exist is ``config_keys.py``'s
subject.

    listen = "127.0.0.1:7170"

    [pools.default]
    policy = "uwfq"
    slots = 16

    [pools.default.users.alice]
    weight = 2
"""

from __future__ import annotations

import difflib
import math
import os
import ssl
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from uwfq_service.core import validation
from uwfq_service.core.commands import ConfigurePool, SetUser
from uwfq_service.core.errors import InvalidField
from uwfq_service.core.settings import Limits, Settings
from uwfq_service.server.config_keys import (
    KEYS,
    POOL_KEYS,
    SECTIONS,
    USER_KEYS,
    Key,
    Log,
    Metrics,
    Serving,
    Tls,
    dotted,
)
from uwfq_service.store.options import StoreOptions

#: What ``data`` says to keep nothing.
MEMORY: Final = ":memory:"

Path_ = tuple[str, ...]


class Leaf(msgspec.Struct, frozen=True):
    """A value as it was given, and where."""

    value: Any
    source: str


class ConfigError(Exception):
    """The configuration is wrong; ``problems`` has one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A pool of the configuration, as the commands that bring it about."""

    configure: ConfigurePool
    users: tuple[SetUser, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an operator decides, checked."""

    listen: str = "127.0.0.1:7170"
    data: str = "./uwfq-data"
    tls: Tls = Tls()
    server: Serving = Serving()
    #: The core's part, its limits included.
    scheduling: Settings = Settings()
    limits: Limits = Limits()
    store: StoreOptions = StoreOptions()
    log: Log = Log()
    metrics: Metrics = Metrics()
    #: By name.  Never empty: without any in the configuration there is ``default``.
    pools: tuple[PoolConfig, ...] = (PoolConfig(configure=ConfigurePool(pool="default")),)
    #: What looks like a mistake but must not stop the service; logged at start.
    warnings: tuple[str, ...] = ()

    @property
    def in_memory(self) -> bool:
        """Whether nothing is kept on disk."""
        return self.data == MEMORY

    @property
    def secure(self) -> bool:
        """Whether the port speaks TLS."""
        return bool(self.tls.cert)


def load(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: str | Path | None = None,
) -> Config:
    """Build the configuration; ``overrides`` are the command line's, by dotted key.

    ``file`` wins over ``UWFQ_CONFIG``; without either there is none.  Raises ``ConfigError``.
    """
    environ = environ or {}
    problems: list[str] = []
    leaves: dict[Path_, Leaf] = {}
    warnings: list[str] = []
    path = file or environ.get("UWFQ_CONFIG")
    if path:
        _read_file(Path(path), leaves, problems)
    _read_environment(environ, leaves, warnings)
    _read_overrides(overrides or {}, leaves, problems)
    config = _build(leaves, problems)
    problems.extend(_contradictions(config))
    if not problems:
        problems.extend(_pool_problems(config))
    if problems:
        raise ConfigError(problems)
    return msgspec.structs.replace(config, warnings=(*warnings, *_doubts(config)))


# -- gathering -------------------------------------------------------------------------------------


def _flatten(table: Mapping[str, Any], prefix: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """The leaves of nested tables; an empty table is a leaf, for it may name a pool."""
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def _read_file(path: Path, leaves: dict[Path_, Leaf], problems: list[str]) -> None:
    try:
        # Some editors begin a file with a mark that says UTF-8.
        given = list(_flatten(tomllib.loads(path.read_text(encoding="utf-8-sig"))))
    # Of thousands of digits, or of brackets, tomllib does not say that they are no TOML.
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problems.append(f"{path}: cannot be read as TOML: {reason}")
        return
    for key, value in given:
        leaves[key] = Leaf(value, str(path))


#: Variables of ours that are no settings of the service.
_FOREIGN: Final = frozenset({"UWFQ_CONFIG", "UWFQ_TARGET"})


def _read_environment(
    environ: Mapping[str, str], leaves: dict[Path_, Leaf], warnings: list[str]
) -> None:
    by_variable = {key.env: key for key in KEYS}
    for variable, text in sorted(environ.items()):
        if key := by_variable.get(variable):
            leaves[tuple(key.name.split("."))] = Leaf(text, variable)
        elif variable.startswith("UWFQ_POOLS_"):
            warnings.append(
                f"{variable} is not a setting; pools are set up in a file (UWFQ_CONFIG) or by --set"
            )
        elif variable.startswith("UWFQ_") and variable not in _FOREIGN:
            # No error: a cluster manager sets UWFQ_SERVICE_HOST and the like by itself.
            close = difflib.get_close_matches(variable, by_variable, n=1, cutoff=0.85)
            if close:
                warnings.append(f"{variable} is not a setting; did you mean {close[0]}?")


def _read_overrides(
    overrides: Mapping[str, object], leaves: dict[Path_, Leaf], problems: list[str]
) -> None:
    for name, value in overrides.items():
        try:
            # A key as TOML writes it: names with a dot in them go into quotes.
            ((path, _),) = _flatten(tomllib.loads(f"{name} = 0"))
        except (ValueError, RecursionError):
            problems.append(f"{name}: not a key; write it as in log.level")
            continue
        leaves[path] = Leaf(value, "command line")


# -- building --------------------------------------------------------------------------------------


def _build(leaves: Mapping[Path_, Leaf], problems: list[str]) -> Config:
    by_path = {tuple(key.name.split(".")): key for key in KEYS}
    values: dict[str, dict[str, Any]] = {"": {}, **{section: {} for section in SECTIONS}}
    pools: dict[Path_, Leaf] = {}
    for path, leaf in leaves.items():
        if path == ("pools",) and leaf.value != {}:
            # [[pools]], say, which TOML reads as a list.
            problems.append(
                f"pools: must be tables, as in [pools.default], not {leaf.value!r} ({leaf.source})"
            )
        elif path[0] == "pools":
            pools[path[1:]] = leaf
        elif key := by_path.get(path):
            value = parse(key, leaf, ".".join(path), problems)
            if value is not None:
                values["".join(path[:-1])][path[-1]] = value
        elif not (leaf.value == {} and path[0] in SECTIONS):
            problems.append(_unknown(path, leaf, by_path))
    values["scheduling"]["limits"] = Limits(**values["limits"])
    sections: dict[str, Any] = {name: record(**values[name]) for name, record in SECTIONS.items()}
    return Config(**values[""], **sections, pools=_build_pools(pools, problems))


def _build_pools(leaves: Mapping[Path_, Leaf], problems: list[str]) -> tuple[PoolConfig, ...]:
    pools: dict[str, dict[str, Any]] = {}
    users: dict[str, dict[str, dict[str, Any]]] = {}
    pool_keys: Mapping[Path_, Key] = {(key.name,): key for key in POOL_KEYS}
    user_keys: Mapping[Path_, Key] = {(key.name,): key for key in USER_KEYS}
    for path, leaf in leaves.items():
        if not path:  # An empty [pools].
            continue
        target, rest, known = pools.setdefault(path[0], {}), path[1:], pool_keys
        if rest[:1] == ("users",) and len(rest) > 1:
            target = users.setdefault(path[0], {}).setdefault(rest[1], {})
            rest, known = rest[2:], user_keys
        if leaf.value == {} and rest in {(), ("users",)}:
            continue
        if key := known.get(rest):
            target[key.name] = parse(key, leaf, dotted("pools", *path), problems)
        else:
            problems.append(_unknown(("pools", *path), leaf, known))
    pools = pools or {"default": {}}
    return tuple(
        PoolConfig(
            configure=ConfigurePool(
                pool=name,
                policy=given.get("policy", "uwfq"),
                fixed_slots=given.get("slots"),
                advisory_task_runtime=given.get("advisory_task_runtime"),
            ),
            users=tuple(
                SetUser(pool=name, user=user, **settings)
                for user, settings in sorted(users.get(name, {}).items())
            ),
        )
        for name, given in sorted(pools.items())
    )


def _unknown(path: Path_, leaf: Leaf, known: Mapping[Path_, Key]) -> str:
    name = dotted(*path)
    names = [".".join(other) for other in known]
    if path[0] == "pools":
        close = difflib.get_close_matches(path[-1], names, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"known there: {', '.join(names)}"
    else:
        close = difflib.get_close_matches(name, names, n=1)
        remedy = f"did you mean {close[0]}?" if close else "`uwfq serve --help` lists the settings"
    return f"{name}: no such setting ({leaf.source}); {remedy}"


def parse(key: Key, leaf: Leaf, label: str, problems: list[str]) -> Any:
    """The value of a leaf, or ``None`` and a problem more.

    Text is read as a number where one is expected: environment and command line know only text.
    """
    value = leaf.value
    if key.type is str:
        if isinstance(value, str) and (not key.choices or value in key.choices):
            return value
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = key.type(value)
        except (ValueError, OverflowError):
            number = math.nan
        exact = isinstance(value, str) or number == value
        # In this order: not every whole number has a float, which is what is asked for finiteness.
        if exact and not key.refuses(number) and math.isfinite(number):
            return number
    problems.append(f"{label}: must be {key.expects}, not {value!r} ({leaf.source})")
    return None


# -- what one value alone cannot show --------------------------------------------------------------


def _contradictions(config: Config) -> Iterator[str]:
    tls = config.tls
    if bool(tls.cert) != bool(tls.key):
        missing, given = ("tls.key", "tls.cert") if tls.cert else ("tls.cert", "tls.key")
        yield f"{missing}: must be given too, for {given} is"
    if tls.client_ca and not tls.cert:
        yield "tls.cert: must be given too, for tls.client_ca is; clients are only asked under TLS"
    for name, path in (("cert", tls.cert), ("key", tls.key), ("client_ca", tls.client_ca)):
        if path and (problem := _file_problem(path)):
            yield f"tls.{name}: {problem}"
    yield from certificate_problems(tls)
    yield from _address_problem("listen", config.listen)
    if config.metrics.listen:
        yield from _address_problem("metrics.listen", config.metrics.listen)
    if not config.data or "\0" in config.data:
        yield "data: must name a directory, or be :memory:"
    elif not config.in_memory:
        yield from _directory_problem(config.data)


def _file_problem(path: str) -> str:
    """Why ``path`` is no file that could be opened; empty: it may be one."""
    try:
        return "" if Path(path).is_file() else f"no such file: {path}"
    except OSError as error:
        # Of a directory above it that may not be searched, as those of keys often are.
        return f"cannot reach {path}: {error.strerror}"


def _directory_problem(path: str) -> Iterator[str]:
    try:
        if Path(path).exists() and not Path(path).is_dir():
            yield f"data: {path} is not a directory"
    except OSError as error:
        yield f"data: {path} cannot be reached: {error.strerror}"


def certificate_problems(tls: Tls) -> Iterator[str]:
    """What gRPC would not serve with, and would say of the address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # How strong a key must be is for gRPC to say.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if not _file_problem(tls.cert) and not _file_problem(tls.key):
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(tls.cert, tls.key, password="")
        except ssl.SSLError as error:
            why = f" ({error.reason})" if error.reason else ""
            yield (
                f"tls.cert, tls.key: {tls.cert} and {tls.key} are not a certificate and its key, "
                f"in PEM and not encrypted{why}"
            )
        except OSError as error:
            yield f"tls.cert, tls.key: {tls.cert} and {tls.key} cannot be read: {error.strerror}"
    if not _file_problem(tls.client_ca):
        try:
            context.load_verify_locations(tls.client_ca)
        except ssl.SSLError:
            yield f"tls.client_ca: {tls.client_ca} holds no certificate of a CA in PEM"
        except OSError as error:
            yield f"tls.client_ca: {tls.client_ca} cannot be read: {error.strerror}"


def _pool_problems(config: Config) -> Iterator[str]:
    """What the core would refuse of pools and their users when the service starts."""
    limits = config.scheduling.limits
    for pool in config.pools:
        name = pool.configure.pool
        try:
            validation.configure_pool(pool.configure, limits)
        except InvalidField as error:
            yield f"{_key_of(dotted('pools', name), error.field)}: {error.problem}"
        if len(pool.users) > limits.max_users_per_pool:
            yield (
                f"{dotted('pools', name, 'users')}: names {len(pool.users)} users, but "
                f"limits.max_users_per_pool is {limits.max_users_per_pool}"
            )
        for user in pool.users:
            try:
                validation.set_user(user, limits)
            except InvalidField as error:
                place = dotted("pools", name, "users", user.user)
                yield f"{_key_of(place, error.field)}: {error.problem}"


def _key_of(place: str, field: str) -> str:
    """A field of the core's as the configuration calls it; names are part of the place."""
    if field in {"pool", "user"}:
        return place
    return f"{place}.{'slots' if field == 'fixed_slots' else field}"


#: What the system takes as the path of a socket, bytes.
_LONGEST_PATH: Final = 107


def _address_problem(name: str, address: str) -> Iterator[str]:
    if address.startswith("unix:") and len(address) > 5 and name == "listen":
        path = address.removeprefix("unix:").removeprefix("//")
        if len(os.fsencode(path)) > _LONGEST_PATH:
            yield f"{name}: the path of a socket has at most {_LONGEST_PATH} bytes, not {path!r}"
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port[:9]) > 65535:
        yield f"{name}: must be host:port, as in 127.0.0.1:7170, not {address!r}"
    elif ":" in host and not host.startswith("["):
        yield f"{name}: put the IPv6 address into brackets, as in [::1]:7170, not {address!r}"


_LOOPBACK: Final = ("127.", "localhost:", "[::1]:", "unix:")


def _doubts(config: Config) -> Iterator[str]:
    if not config.secure and not config.listen.startswith(_LOOPBACK):
        yield f"listen: {config.listen} is beyond loopback, and without TLS anyone there may call"
