"""``python -m tests.scenarios [--update] [NAME...]``: how the logs differ from the recorded ones.

With ``--update`` they are recorded anew.  Without names all stories are told.
"""

from __future__ import annotations

import sys
from difflib import unified_diff

from tests.scenarios.recording import STORIES, expected_file, tell


def main(arguments: list[str]) -> int:
    """Compare or record; returns the exit status."""
    update = "--update" in arguments
    names = [name for name in arguments if not name.startswith("--")] or list(STORIES)
    differing = 0
    for name in names:
        file = expected_file(name)
        recorded = file.read_text(encoding="utf-8") if file.exists() else ""
        log = tell(name)
        sys.stdout.writelines(
            unified_diff(
                recorded.splitlines(keepends=True),
                log.splitlines(keepends=True),
                f"recorded/{file.name}",
                f"now/{file.name}",
            )
        )
        differing += log != recorded
        if update:
            file.parent.mkdir(exist_ok=True)
            file.write_text(log, encoding="utf-8")
    return 1 if differing and not update else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
