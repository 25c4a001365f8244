"""Generate the stubs of one client, by buf, with the plugins that the client pins itself.

Run it through `make -C clients/go gen`; with ``--check`` it writes nothing and fails when the
committed stubs are not what the definitions give.  (Python's come from ``generate.py``.)

A client may have definitions of its own beside ours (``clients/node/protos``), with a template.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def modules(client: str) -> list[tuple[str, str]]:
    """Where definitions are, and the template, as YAML or JSON, that they go through."""
    template = yaml.safe_load((ROOT / "protos/buf.gen.yaml").read_text())
    ours = [each for each in template["plugins"] if f"{each['out']}/".startswith(f"{client}/")]
    if not ours:
        raise SystemExit(f"protos/buf.gen.yaml has no plugin that writes into {client}")
    found = [("protos", json.dumps(template | {"plugins": ours}))]
    if (ROOT / client / "buf.gen.yaml").exists():
        found.append((f"{client}/protos", f"{client}/buf.gen.yaml"))
    return found


def generate(client: str, buf: str, out: Path) -> None:
    """Write the stubs of a client under ``out``, at their paths from the repository's root."""
    for definitions, template in modules(client):
        command = [buf, "generate", definitions, "--template", template, "--output", str(out)]
        if done := subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise SystemExit(done)


def main() -> int:
    """Bring a client's stubs up to date, or with ``--check`` say which are not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("client", help="its directory: clients/go")
    parser.add_argument("--buf", default="buf", help="the buf to generate with")
    parser.add_argument("--check", action="store_true", help="change nothing, fail on differences")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(options.client, options.buf, fresh)
        wanted = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
        # A folder that holds stubs holds nothing else: what is not generated any more is stale.
        present = {
            path.relative_to(ROOT)
            for folder in {path.parent for path in wanted}
            if (ROOT / folder).is_dir()
            for path in (ROOT / folder).iterdir()
            if path.is_file()
        }
        stale = sorted(
            path
            for path in wanted | present
            if path not in wanted
            or path not in present
            or (fresh / path).read_bytes() != (ROOT / path).read_bytes()
        )
        for path in stale:
            if options.check:
                print(f"{path}: not what the definitions give", file=sys.stderr)
            elif path not in wanted:
                (ROOT / path).unlink()
            else:
                (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / path).write_bytes((fresh / path).read_bytes())
    if options.check and stale:
        print(f"run `make -C {options.client} gen` and commit the result", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
