"""How a command reaches the service: the options that all of them share."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from uwfq_service.cli.errors import REFUSED, Failure, explained
from uwfq_service.cli.files import NamedPath
from uwfq_service.cli.ranges import Number

if TYPE_CHECKING:
    from uwfq_client import Client, SyncClient, Tls
    from uwfq_client.channel import Endpoint

DEFAULT_TARGET: Final = "127.0.0.1:7170"
#: What people copy from elsewhere; gRPC has names of its own (``dns:///host:port``).
_URL: Final = re.compile("(https?|grpcs?)://", re.IGNORECASE)

Command = Callable[..., Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the service is, and how to speak to it."""

    target: str
    tls: bool
    ca: Path | None
    certificate: Path | None
    key: Path | None
    #: The name in the service's certificate; ``None``: the target's.
    server_name: str | None = None
    timeout: float

    def blocking(self) -> SyncClient:
        """A client for one call after another."""
        from uwfq_client import RetryPolicy, SyncClient

        # A person waits for the answer: better say at once that nobody answers.
        return SyncClient(
            self.target,
            tls=self.credentials(),
            timeout=self.timeout,
            retry=RetryPolicy(max_attempts=2),
        )

    def patient(self) -> SyncClient:
        """A client for long waits: it outlives restarts of the service."""
        from uwfq_client import SyncClient

        return SyncClient(self.target, tls=self.credentials(), timeout=self.timeout)

    def asynchronous(self) -> Client:
        """A client for coroutines."""
        from uwfq_client import Client, RetryPolicy

        return Client(
            self.target,
            tls=self.credentials(),
            timeout=self.timeout,
            retry=RetryPolicy(max_attempts=2),
        )

    def endpoint(self) -> Endpoint:
        """For what the client has no method for."""
        from uwfq_client.channel import Endpoint

        return Endpoint(self.target, tls=self.credentials())

    def credentials(self) -> Tls | bool:
        """TLS as the options ask for it; a file that cannot be used is refused here."""
        from uwfq_client import Tls

        if not (self.tls or self.ca or self.certificate or self.key or self.server_name):
            return False
        if bool(self.certificate) != bool(self.key):
            raise Failure("--cert and --key: give both or neither", REFUSED)
        tls = Tls(
            ca=self.ca, certificate=self.certificate, key=self.key, server_name=self.server_name
        )
        try:
            tls.credentials()
        except OSError as error:
            raise Failure(f"{error.filename}: {error.strerror}", REFUSED) from error
        except ValueError as error:
            raise Failure(str(error), REFUSED) from error
        return tls


def connected(command: Command) -> Command:
    """Give a command ``connection: Connection`` and the options that make it up."""
    target = click.option(
        "--target",
        default=DEFAULT_TARGET,
        envvar="UWFQ_TARGET",
        show_default=True,
        show_envvar=True,
        callback=_somewhere,
        help="Where the service listens: host:port or unix:/path.",
    )
    return target(_with_connection(command))


def _somewhere(_context: click.Context, option: click.Parameter, target: str | None) -> str | None:
    if target == "":
        raise click.BadParameter("is empty; give host:port or unix:/path", param=option)
    if target is None or target.startswith(("unix:", "unix-abstract:")):
        return target
    if _URL.match(target):
        raise click.BadParameter("is a URL; give host:port, no more", param=option)
    _, colon, port = target.rpartition(":")
    # gRPC takes such a port modulo 65536, and so finds somebody else's service.
    if colon and port.isascii() and port.isdecimal() and not 1 <= int(port[:9]) <= 65535:
        raise click.BadParameter(f"port {port} must be 1 to 65535", param=option)
    return target


def _named(_context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    if name == "":
        # Without a name nothing would be encrypted.
        raise click.BadParameter("is empty", param=option)
    return name


def connected_elsewhere(default: str) -> Callable[[Command], Command]:
    """As ``connected``, for a command that learns where the service is.

    Without ``--target`` its ``connection`` has an empty one, to be replaced; ``default`` says what
    by.
    """
    return lambda command: click.option(
        "--target",
        default="",
        help=f"Where the service listens, as seen from here.  [default: {default}]",
    )(_with_connection(command))


def connected_if_asked(command: Command) -> Command:
    """As ``connected``, for a command that does more than look at a service.

    Without ``--target`` its ``connection`` is ``None``: what the environment says is meant for
    commands that are harmless.
    """
    target = click.option(
        "--target",
        callback=_somewhere,
        help="Where the service listens: host:port or unix:/path.  [default: one of our own, "
        "which is started for the purpose]",
    )
    return target(_with_connection(command))


def _with_connection(command: Command) -> Command:
    @click.option("--tls", is_flag=True, help="Encrypt, and trust the CAs that this system trusts.")
    @click.option(
        "--ca",
        envvar="UWFQ_CA_FILE",
        show_envvar=True,
        metavar="FILE",
        type=NamedPath(),
        help="Encrypt, and trust this CA (PEM).",
    )
    @click.option(
        "--cert",
        "certificate",
        envvar="UWFQ_CERT_FILE",
        show_envvar=True,
        metavar="FILE",
        type=NamedPath(),
        help="This client's certificate (PEM), for mutual TLS.",
    )
    @click.option(
        "--key",
        envvar="UWFQ_KEY_FILE",
        show_envvar=True,
        metavar="FILE",
        type=NamedPath(),
        help="The key of --cert (PEM).",
    )
    @click.option(
        "--server-name",
        metavar="NAME",
        callback=_named,
        help="Encrypt, and expect this name in the service's certificate.  [default: the target's]",
    )
    @click.option(
        "--timeout",
        metavar="X",
        # gRPC takes what is far beyond for an instant that has passed.
        type=Number(min=0, min_open=True, max=1e9),
        default=10.0,
        show_default=True,
        help="Longest to wait for an answer, seconds.",
    )
    @functools.wraps(command)
    def wrapper(
        *arguments: Any,
        target: str | None,
        tls: bool,
        ca: Path | None,
        certificate: Path | None,
        key: Path | None,
        server_name: str | None,
        timeout: float,
        **options: Any,
    ) -> Any:
        if target is None:
            _refuse_without_target(("tls", "ca", "certificate", "key", "server_name", "timeout"))
            return command(*arguments, connection=None, **options)
        connection = Connection(
            target=target,
            tls=tls,
            ca=ca,
            certificate=certificate,
            key=key,
            server_name=server_name,
            timeout=timeout,
        )
        try:
            return command(*arguments, connection=connection, **options)
        except (click.ClickException, click.Abort, click.exceptions.Exit, Failure):
            raise
        except Exception as error:
            # Here it is known where the service should have been.
            line, code = explained(error, target)
            if line is None:
                raise
            raise Failure(line, code) from error

    return wrapper


def _refuse_without_target(names: Collection[str]) -> None:
    """Refuse options that say how to reach a service when there is none to be reached."""
    context = click.get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in names and source is click.core.ParameterSource.COMMANDLINE:
            raise Failure(f"{option.opts[0]}: goes with --target only", REFUSED)


pool_option = click.option(
    "--pool",
    default="default",
    envvar="UWFQ_POOL",
    show_default=True,
    show_envvar=True,
    help="The pool.",
)


def current_user() -> str:
    """Whose jobs these are unless the command says: ``UWFQ_USER``, else the login name."""
    if name := os.environ.get("UWFQ_USER"):
        return name
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise Failure("--user: this system has no name for you; give one", REFUSED) from None
