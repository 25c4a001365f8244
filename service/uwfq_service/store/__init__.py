"""Durable state: the journal of what was decided, and how it comes back after a restart."""

from __future__ import annotations

from uwfq_service.store.errors import (
    DataDirectoryInUse,
    JournalDamaged,
    StoreError,
    UnknownRecord,
    UnknownSchema,
)
from uwfq_service.store.history import read_history
from uwfq_service.store.journal import Jitter, Journal, JournalStats, Recovery
from uwfq_service.store.memory import MemoryJournal
from uwfq_service.store.options import StoreOptions
from uwfq_service.store.sqlite import SqliteJournal

__all__ = [
    "DataDirectoryInUse",
    "Jitter",
    "Journal",
    "JournalDamaged",
    "JournalStats",
    "MemoryJournal",
    "Recovery",
    "SqliteJournal",
    "StoreError",
    "StoreOptions",
    "UnknownRecord",
    "UnknownSchema",
    "read_history",
]
