"""What an operator may set of the journal on disk."""

from __future__ import annotations

from uwfq_service.core.commands import Record


class StoreOptions(Record, frozen=True, kw_only=True):
    """Sizes and ages; the defaults suit most.

    A snapshot is due when the tail has ``snapshot_records`` events or ``snapshot_bytes`` bytes,
    and is at least half as large as the snapshot before: so the work that goes into snapshots
    stays in proportion to what is written, however large the state.
    """

    snapshot_records: int = 250_000
    snapshot_bytes: int = 64 * 1024 * 1024
    #: History keeps so many events, and none older than so many seconds.  Both limits act when a
    #: snapshot has been written.
    history_records: int = 1_000_000
    history_seconds: float = 7 * 86_400.0
    #: Most events in one commit, unless more were appended in one call.
    commit_records: int = 1_000
