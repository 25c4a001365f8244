"""Runs the compaction process; see ``compaction.py``."""

import sys

from uwfq_service.store.compaction import main

sys.exit(main())
