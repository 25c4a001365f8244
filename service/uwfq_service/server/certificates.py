"""Certificates that are replaced while the service runs: the next connection gets the new ones.

Certificates live for some months, and whoever renews them puts the new files in the place of the
old ones.  So the library asks before every handshake, and when the files are not what they were
they are read again.  While they do not fit together (one is there, the other is not yet) those of
before go on.
"""

from __future__ import annotations

from pathlib import Path

import grpc
import structlog

from uwfq_service.server.config import certificate_problems
from uwfq_service.server.config_keys import Tls

log = structlog.get_logger(__name__)

#: What tells one version of a file from another; ``None``: there is no file.
_Version = tuple[int, int, int] | None


class Certificates:
    """The files of TLS for one gRPC server, each of which is told of a change once."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._versions: list[_Version] = []

    def credentials(self) -> grpc.ServerCredentials:
        """The server's credentials.  Raises ``OSError`` if the files cannot be read."""
        self._versions = self._look()
        return grpc.dynamic_ssl_server_credentials(
            self._read(),
            self._newer,  # type: ignore[arg-type]  # ``None`` is documented: no change.
            require_client_authentication=bool(self._tls.client_ca),
        )

    def _look(self) -> list[_Version]:
        tls = self._tls
        return [_version(path) for path in (tls.cert, tls.key, tls.client_ca) if path]

    def _read(self) -> grpc.ServerCertificateConfiguration:
        tls = self._tls
        return grpc.ssl_server_certificate_configuration(
            [(Path(tls.key).read_bytes(), Path(tls.cert).read_bytes())],
            root_certificates=Path(tls.client_ca).read_bytes() if tls.client_ca else None,
        )

    def _newer(self) -> grpc.ServerCertificateConfiguration | None:
        """What the files hold if they have changed; on a thread of the library's."""
        found = self._look()
        if found == self._versions:
            return None
        try:
            problems = [*certificate_problems(self._tls)]
            read = None if problems else self._read()
            if self._look() != found:
                return None  # They are being replaced: the next connection will see.
        except OSError as error:
            problems, read = [str(error)], None
        self._versions = found
        if read is None:
            log.warning("certificates_refused", problems=problems)
        else:
            log.info("certificates_replaced", cert=self._tls.cert)
        return read


def _version(path: str) -> _Version:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    # Not the time of its text: a file that we are let read at last has changed in nothing else.
    return found.st_ctime_ns, found.st_ino, found.st_size
