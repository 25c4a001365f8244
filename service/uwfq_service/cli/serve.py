"""``serve``: the service itself, and its configuration from the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from uwfq_service.cli.errors import REFUSED, Failure
from uwfq_service.cli.files import NamedPath
from uwfq_service.cli.output import emit, output_option, table
from uwfq_service.core.policy import POLICIES
from uwfq_service.server.config_keys import KEYS, POOL_KEYS, USER_KEYS, dotted

if TYPE_CHECKING:
    from uwfq_service.server.config import Config

#: Settings with an option of their own; the others go through ``--set``.
_OPTIONS: Final = (
    "listen",
    "data",
    "log.level",
    "log.format",
    "tls.cert",
    "tls.key",
    "tls.client_ca",
    "metrics.listen",
)

#: KEY=VALUE; in quotes the name of a pool or a user may have a = in it, as one of LDAP has.
_SETTING: Final = re.compile(
    r"""(?P<key>(?:[^="']|"(?:[^"\\]|\\.)*"|'[^']*')*)=(?P<value>.*)""", re.DOTALL
)


def _setting_options(command: Any) -> Any:
    for key in reversed(KEYS):
        if key.name in _OPTIONS:
            default = "" if key.default == "" else f"; default: {key.default}"
            command = click.option(
                key.flag,
                key.name.replace(".", "__"),
                type=click.Choice(key.choices) if key.choices else None,
                metavar=None if key.choices else "TEXT",
                help=f"{key.help}  [env var: {key.env}{default}]",
            )(command)
    return command


class _ServeCommand(click.Command):
    """Ends its help with the settings, which are too many for options."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List every setting, with its default."""
        for title, prefix, keys in (
            ("Settings (--set KEY=VALUE, a TOML file, or the environment as UWFQ_KEY)", "", KEYS),
            (
                "Settings of a pool (--set or the file; without any pool there is `default`)",
                "pools.NAME.",
                POOL_KEYS,
            ),
            (
                "Settings of a user in a pool (--set or the file)",
                "pools.NAME.users.USER.",
                USER_KEYS,
            ),
        ):
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (
                            prefix + key.name,
                            key.help + ("" if key.default in {None, ""} else f" [{key.default}]"),
                        )
                        for key in keys
                    ]
                )


@click.command(cls=_ServeCommand)
@click.option(
    "--config",
    "file",
    envvar="UWFQ_CONFIG",
    show_envvar=True,
    metavar="FILE",
    type=NamedPath(),
    help="Read settings from a TOML file; options and environment win over it.",
)
@_setting_options
@click.option(
    "--policy",
    type=click.Choice(list(POLICIES)),
    help="What orders the pool `default`.  [default: uwfq]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting, e.g. pools.batch.policy=fair; may be repeated.",
)
@click.option("--check", is_flag=True, help="Check the configuration, print it, and exit.")
@output_option
def serve(
    file: Path | None,
    policy: str | None,
    settings: Sequence[str],
    check: bool,
    output: str,
    **options: str | None,
) -> int:
    """Start the service; it runs until SIGTERM or Ctrl-C."""
    from uwfq_service.server.config import ConfigError, load

    overrides: dict[str, object] = {
        name.replace("__", "."): value for name, value in options.items() if value is not None
    }
    if policy:
        overrides["pools.default.policy"] = policy
    for setting in settings:
        parts = _SETTING.fullmatch(setting)
        if parts is None:
            raise Failure(f"--set {setting}: write it as KEY=VALUE", REFUSED)
        overrides[parts["key"]] = parts["value"]
    try:
        config = load(overrides, environ=os.environ, file=file)
    except ConfigError as error:
        # All faults at once: nobody wants to find them one by one.
        raise Failure("; ".join(error.problems), REFUSED) from error
    if check:
        _show(config, output)
        return 0
    return _serve(config)


def _show(config: Config, output: str) -> None:
    document = _document(config)
    rows = [(path, "-" if value is None else str(value)) for path, value in _leaves(document)]
    emit(output, document, table(("setting", "value"), rows, left=2))


def _document(config: Config) -> dict[str, Any]:
    """What holds, under the keys that it would be set by: the file with nothing left out."""
    document: dict[str, Any] = {}
    for key in KEYS:
        section, _, name = key.name.rpartition(".")
        values = document.setdefault(section, {}) if section else document
        values[name] = getattr(getattr(config, section) if section else config, name)
    document["pools"] = {
        pool.configure.pool: {
            "policy": pool.configure.policy,
            "slots": pool.configure.fixed_slots,
            "advisory_task_runtime": pool.configure.advisory_task_runtime,
            "users": {
                user.user: {key.name: getattr(user, key.name) for key in USER_KEYS}
                for user in pool.users
            },
        }
        for pool in config.pools
    }
    document["warnings"] = list(config.warnings)
    return document


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [
            leaf
            for name, inner in value.items()
            for leaf in _leaves(inner, f"{path}.{dotted(name)}" if path else name)
        ]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner, path)]
    return [(path, value)]


def _serve(config: Config) -> int:
    from uwfq_service.server.app import run
    from uwfq_service.server.config import ConfigError
    from uwfq_service.store.errors import StoreError

    try:
        return run(config)
    except ConfigError as error:
        raise Failure("; ".join(error.problems), REFUSED) from error
    except StoreError as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"data {config.data}: {error.strerror or error}") from error
