"""Certificates for tests of TLS, by ``openssl``: an authority, a server's and a client's."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_certificates(folder: Path) -> Path:
    """Write ``ca.pem``, and ``server`` and ``client`` as ``.pem`` and ``.key``; the folder.

    Those two are for 127.0.0.1, and for the names ``server.test`` and ``client.test``.
    """

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        *new,
        *("-days", "2", "-subj", "/CN=test CA"),
        # Python 3.13 asks an authority for it.
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", "ca.key", "-out", "ca.pem"),
    )
    for name in ("server", "client"):
        openssl(
            *new,
            *("-days", "2", "-subj", f"/CN={name}"),
            *("-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-addext", f"subjectAltName=IP:127.0.0.1,DNS:{name}.test"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
        )
    return folder
