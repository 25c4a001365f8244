"""Clients of the last release work with the service of today."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2

from tests.e2e.command import PATIENCE_SECONDS, service
from uwfq.v1 import scheduler_service_pb2, types_pb2

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "protos" / "released.binpb"
JOURNEY = Path(__file__).with_name("released_journey.py")


def _generate(directory: Path) -> None:
    """Stubs of the released image, as a package ``uwfq``."""
    image = descriptor_pb2.FileDescriptorSet.FromString(RELEASED.read_bytes())
    ours = [file.name for file in image.file if file.name.startswith("uwfq/")]
    assert "uwfq/v1/scheduler_service.proto" in ours
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={RELEASED}"),
            *(f"--python_out={directory}", f"--grpc_python_out={directory}", *ours),
        ],
        check=True,
    )
    for package in ("uwfq", "uwfq/v1"):
        (directory / package / "__init__.py").touch()


def test_stubs_of_the_last_release_make_the_basic_journey(tmp_path: Path) -> None:
    """Submit, poll, renew, report and look, with messages as they were released."""
    _generate(tmp_path)
    # A script's own directory is where it imports from first.
    script = shutil.copy(JOURNEY, tmp_path)
    with service() as target:
        done = subprocess.run(
            [sys.executable, script, target],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert Path(document["stubs"]).is_relative_to(tmp_path.resolve()), "these are today's stubs"
    assert document["submitted"] == ["j-1", True]
    assert document["tasks"] == [0, 1]
    assert document["acks"] == [types_pb2.TASK_RESULT_STATUS_ACCEPTED] * 2
    assert document["renewals"] == [scheduler_service_pb2.LEASE_STATUS_RENEWED]
    assert document["state"] == "JOB_STATE_SUCCEEDED"
