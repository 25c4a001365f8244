"""What time brings: expired leases, ended backoffs, silent workers, overruns, old jobs."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from uwfq_service.core import events as ev
from uwfq_service.core.timers import TimerKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uwfq_service.core.decider import Decider
    from uwfq_service.core.dispatch import Dispatch
    from uwfq_service.core.model import Job, Lease, Worker
    from uwfq_service.core.reports import Reports
    from uwfq_service.core.stage import Stage

#: Least seconds between two looks at the overrun of one job.
OVERRUN_PAUSE: Final = 0.01
#: Timers of things long past are dropped when there are more than this many, and twice as many as
#: were alive at the last time.
TIMERS_TO_KEEP: Final = 4096


class Upkeep:
    """Decides what is due."""

    def __init__(self, decider: Decider, reports: Reports, dispatch: Dispatch) -> None:
        self._decider = decider
        self._reports = reports
        self._dispatch = dispatch
        self._state = decider.state
        self._settings = decider.state.settings
        self._sweep_above = TIMERS_TO_KEEP
        self._handlers: dict[TimerKind, Callable[[Any, Any], None]] = {
            TimerKind.LIMIT: self._time_limit,
            TimerKind.WORKER: self._silence,
            TimerKind.OVERRUN: self._overrun,
            TimerKind.RETENTION: self._retention,
        }

    def tick(self, now: Any) -> None:
        """Let happen what is due by ``now``."""
        expired: list[Lease] = []
        retries: list[tuple[Stage, int]] = []
        for kind, item in self._state.timers.due(now):
            # What is due in a row happens together, but in the order of time with everything else.
            if expired and kind is not TimerKind.LEASES:
                self._lose(expired, now)
            if retries and kind is not TimerKind.RETRY:
                self._retry(retries, now)
            if kind is TimerKind.LEASES:
                expired.extend(self._expired(item, now))
            elif kind is TimerKind.RETRY:
                retries.append(item)
            else:
                self._handlers[kind](item, now)
        if expired:
            self._lose(expired, now)
        if retries:
            self._retry(retries, now)
        self._sweep()

    def _lose(self, expired: list[Lease], now: Any) -> None:
        self._reports.lose_leases(expired, now)
        expired.clear()

    def _expired(self, item: tuple[int, int], now: Any) -> list[Lease]:
        """Which leases of a batch have expired; the others get a timer for their new end.

        One for each run of leases that end together, so that no two timers cover the same lease: a
        lease that two of them found expired would be lost twice.
        """
        first, count = item
        leases = self._state.leases
        live = [lease for i in range(first, first + count) if (lease := leases.get(i)) is not None]
        expired = []
        for expires_at, run in groupby(live, key=attrgetter("expires_at")):
            together = list(run)
            if expires_at <= now:
                expired += together
                continue
            start = together[0].lease_id
            span = (start, together[-1].lease_id - start + 1)
            self._state.timers.set(expires_at, TimerKind.LEASES, span)
        return expired

    def _time_limit(self, lease: Lease, now: Any) -> None:
        if self._state.leases.get(lease.lease_id) is not lease:
            return
        limit = lease.stage.spec.task_timeout
        if lease.started_at + limit > now:
            # An outage was left out.
            self._state.timers.set(lease.started_at + limit, TimerKind.LIMIT, lease)
            return
        message = f"ran over its time limit of {limit:g} s"
        ran = now - lease.started_at
        self._reports.fail_attempt(lease, ran, message, now, retryable=True, timed_out=True)

    def _retry(self, retries: list[tuple[Stage, int]], now: Any) -> None:
        """Let tasks wait again whose backoff is over: one event for each job.

        O(retries), however many tasks are in backoff.  A task may be named twice: replaying a
        journal leaves the timers of backoffs that are over.
        """
        ready: dict[int, set[tuple[int, int]]] = {}
        for stage, task in retries:
            backoff = (stage.backing_off or {}).get(task)
            if backoff is not None and backoff[0] <= now and not stage.job.ended:
                ready.setdefault(stage.job.number, set()).add((stage.index, task))
        retries.clear()
        for job, tasks in ready.items():
            self._decider.emit(ev.TasksReady(at=now, job=job, tasks=tuple(sorted(tasks))))

    def _silence(self, worker: Worker, now: Any) -> None:
        if worker.pool.workers.get(worker.name) is not worker:
            return
        until = worker.alive_until
        if until <= now:
            # A lease is a right until it expires, and may need no word of its worker for longer.
            until = max((until, *_ends_of_leases(worker)))
        if until > now:
            worker.timer = until
            self._state.timers.set(until, TimerKind.WORKER, worker)
            return
        self._dispatch.lose(worker, now)

    def _overrun(self, job: Job, now: Any) -> None:
        job.overrun_timer = None
        self._reports.settle_progress(job, now)
        self._state.attempts.watch_overrun(job, now + OVERRUN_PAUSE)

    def _retention(self, _: None, now: Any) -> None:
        self._state.retention_timer = None
        keep = self._settings.retention_seconds
        finished = self._state.finished
        count = 0
        for job in finished:
            if job.finished_at + keep > now:
                break
            count += 1
        if count:
            self._decider.emit(ev.JobsForgotten(at=now, count=count))
        # Looking once a second is enough: what is forgotten goes in batches.
        self._state.watch_retention(now + 1)

    def _sweep(self) -> None:
        timers = self._state.timers
        if len(timers) > self._sweep_above:
            timers.keep(self._is_alive)
            self._sweep_above = max(TIMERS_TO_KEEP, 2 * len(timers))

    def _is_alive(self, kind: TimerKind, item: Any) -> bool:
        leases = self._state.leases
        match kind:
            case TimerKind.LEASES:
                return any(lease_id in leases for lease_id in range(item[0], item[0] + item[1]))
            case TimerKind.LIMIT:
                return leases.get(item.lease_id) is item
            case TimerKind.RETRY:
                stage, task = item
                return task in (stage.backing_off or ()) and not stage.job.ended
            case TimerKind.WORKER:
                return item.pool.workers.get(item.name) is item
            case TimerKind.OVERRUN:
                return item.overrun_timer is not None
            case TimerKind.RETENTION:
                return True


def _ends_of_leases(worker: Worker) -> Iterator[Any]:
    """When each of the leases expires that a worker holds."""
    for lease in worker.leases.values():
        if lease.expires_at is not None:
            yield lease.expires_at
