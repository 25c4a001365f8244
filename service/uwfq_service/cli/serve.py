"""``serve``: the service itself, and its configuration from the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from uwfq_service.cli.errors import REFUSED, Failure
from uwfq_service.cli.output import emit, output_option, table
from uwfq_service.core.policy import POLICIES
from uwfq_service.server.config_keys import KEYS, POOL_KEYS, USER_KEYS

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
            ("Settings of a pool", "pools.NAME.", POOL_KEYS),
            ("Settings of a user in a pool", "pools.NAME.users.USER.", USER_KEYS),
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
    file: str | None,
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
        name, equals, value = setting.partition("=")
        if not equals:
            raise Failure(f"--set {setting}: write it as KEY=VALUE", REFUSED)
        overrides[name] = value
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
    import msgspec

    document = msgspec.to_builtins(config)
    emit(output, document, table(("setting", "value"), _leaves(document), left=2))


def _leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [
            leaf
            for name, inner in value.items()
            for leaf in _leaves(inner, f"{path}.{name}" if path else name)
        ]
    if isinstance(value, list | tuple) and value:
        return [
            leaf
            for position, inner in enumerate(value)
            for leaf in _leaves(inner, f"{path}[{position}]")
        ]
    return [(path, str(value))]


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
