"""Generate the Python stubs in protos/python from the definitions in protos/uwfq.

Run it through `make gen`. With ``--check`` it writes nothing and fails when the committed stubs
are not what the definitions give, which is how the lint step keeps the two together.

The generators come from the lock file: protoc and its gRPC plugin inside ``grpcio-tools``, the
type stubs (typed for blocking and asyncio channels alike) from ``mypy-protobuf``.
"""

import argparse
import filecmp
import os
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
STUBS = PROTOS / "python"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(out: Path) -> None:
    """Write the stubs of every definition under ``out``."""
    # protoc looks for its plugins on PATH, and the environment need not be activated.
    os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")
    definitions = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("uwfq/**/*.proto"))
    if not definitions:
        raise SystemExit("no definitions found in protos/uwfq")
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *definitions,
        ]
    )
    if status != 0:
        raise SystemExit(status)


def generated_files(root: Path) -> set[Path]:
    """Return the generated files below ``root``, relative to it."""
    return {path.relative_to(root) for glob in GENERATED for path in root.rglob(glob)}


def main() -> int:
    """Bring protos/python up to date, or with ``--check`` say what is not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail on differences")
    check: bool = parser.parse_args().check

    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        wanted, present = generated_files(fresh), generated_files(STUBS)
        stale = sorted(
            path
            for path in wanted | present
            if path not in wanted
            or path not in present
            or not filecmp.cmp(fresh / path, STUBS / path, shallow=False)
        )
        if check:
            for path in stale:
                print(f"protos/python/{path}: not what the definitions give", file=sys.stderr)
            if stale:
                print("run `make gen` and commit the result", file=sys.stderr)
            return 1 if stale else 0
        for path in stale:
            if path not in wanted:
                (STUBS / path).unlink()
                continue
            (STUBS / path).parent.mkdir(parents=True, exist_ok=True)
            (STUBS / path).write_bytes((fresh / path).read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
