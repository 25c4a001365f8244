"""One worker's conversation with the service, from the first poll to the last report.

Four small loops share one ledger, all on one event loop:

    poll      asks for leases when slots are free; results ride along.  A long poll.
    report    sends results that would otherwise wait for a poll (``TaskDone``).
    renew     extends leases at a third of their time, and learns which are void.
    drain     after a stop: finishes what is held, reports it, takes its leave, and ends.

What keeps acknowledged work from being lost or done twice:

* A poll carries an id that rises only when its answer has arrived.  A poll whose answer was lost
  (or that we gave up) is repeated under the same id, and the service grants the same leases again.
* Results stay in the ledger until the service has acknowledged them.
* Trouble with the service (a restart, a full inbox) is waited out, with growing waits.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import grpc
import grpc.aio

from uwfq.v1 import scheduler_service_pb2 as pb
from uwfq.v1 import types_pb2
from uwfq_client.channel import Endpoint
from uwfq_client.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unimplemented,
    UwfqError,
    from_rpc_error,
)
from uwfq_client.execution import ExecutorKind, Handler
from uwfq_client.launcher import Launcher
from uwfq_client.ledger import Attempt, Ledger
from uwfq_client.retry import TIRELESS, Backoff, RetryPolicy
from uwfq_client.transport import AsyncTransport

log = logging.getLogger("uwfq_client")

#: Why an attempt is not wanted any more whose lease is void, though it was renewed in time.
_REVOKED: Final = "its job was cancelled or has failed, or its time is up"
#: Time-out of a report or a renewal, and what a poll gets beyond its wait, seconds.
_ANSWER_SECONDS: Final = 15.0
#: A year; the service parks no poll for so long.
_LONGEST_POLL_SECONDS: Final = 365 * 86_400.0
#: How long a stopping worker tries to bring its last results to a service that does not answer;
#: about a lease, after which nobody waits for them.
_LAST_REPORT_SECONDS: Final = 30.0
#: The same when it is in a hurry, or owes nothing and only wonders what its last poll was granted.
_LAST_POLL_SECONDS: Final = 2.0
#: A poll that brings nothing and is answered so soon was not parked; ask again less eagerly.
_HASTY_SECONDS: Final = 0.05

#: What no waiting will mend: the request itself is wrong.
_FATAL: Final = (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unimplemented,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What a worker was made with; see ``Worker``."""

    endpoint: Endpoint
    pool: str
    worker_id: str
    slots: int
    prefetch: int
    max_batch: int | None
    poll_seconds: float
    report_delay_seconds: float
    executor: ExecutorKind | concurrent.futures.Executor
    retry: RetryPolicy


class Session:
    """Serves from ``serve()`` to the end of its drain; used once."""

    def __init__(self, options: SessionOptions, handlers: Mapping[str | None, Handler]) -> None:
        self.polls = 0
        self.ledger = Ledger(options.slots, options.prefetch)
        self.launcher = Launcher(self.ledger, handlers, options.executor, self._changed)
        self._options = options
        self.loop = asyncio.get_running_loop()
        self._transport = AsyncTransport(options.endpoint)
        self._error: UwfqError | None = None
        self._in_trouble = False
        self._hurried = False
        self._give_up_timer: asyncio.TimerHandle | None = None
        #: How long the drain waits for the answer to what it has asked last.
        self._patience: asyncio.Timeout | None = None
        #: Set to stop; to look whether a poll is wanted; when anything has ended.
        self._stop = asyncio.Event()
        self._wanted = asyncio.Event()
        self._progress = asyncio.Event()
        #: The poll under way, the free slots that it speaks of, and whether its id is still open.
        self._poll_id = 1
        self._poll_open = False
        self._poll_call: grpc.aio.UnaryUnaryCall[pb.NextTaskRequest, pb.NextTaskResponse] | None
        self._poll_call = None
        self._polled_free = 0
        #: The report under way, and the timer of the next one.
        self._reporter: asyncio.Task[None] | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        #: When the renewer will wake, and the event that wakes it sooner.
        self._renewal_planned = math.inf
        self._renew_sooner = asyncio.Event()

    async def serve(self) -> None:
        """Work until ``request_stop``, then drain.  Raises what no waiting would mend."""
        poller = self.loop.create_task(self._poll_for_ever(), name="uwfq-poll")
        renewer = self.loop.create_task(self._renew_for_ever(), name="uwfq-renew")
        # The loops end by themselves only through a defect of ours, which is to be seen.
        for task in (poller, renewer):
            task.add_done_callback(lambda _: self._stop.set())
        try:
            self._wanted.set()
            await self._stop.wait()
            await _cancelled(poller)
            await self._drain()
        finally:
            for timer in (self._report_timer, self._give_up_timer):
                if timer is not None:
                    timer.cancel()
            await _cancelled(poller, renewer, *([self._reporter] if self._reporter else []))
            if self.ledger.busy:
                self.launcher.give_up("the worker was stopped")
            await self.launcher.close()
            await self._transport.aclose()
        for task in (poller, renewer):
            if not task.cancelled():
                task.result()
        if self._error is not None:
            raise self._error

    @property
    def stopping(self) -> bool:
        """Whether it has been asked to stop."""
        return self._stop.is_set()

    def request_stop(self, grace_seconds: float | None = None) -> None:
        """Ask for no more work; finish what is held within the grace, and report it."""
        if grace_seconds is not None:
            self._give_up_timer = self.loop.call_later(grace_seconds, self.give_up)
        self._stop.set()

    def give_up(self) -> None:
        """Stop, and report what runs as failed (retryable) instead of finishing it."""
        self._stop.set()
        if not self._hurried and self._patience is not None and not self._patience.expired():
            self._patience.reschedule(self.loop.time() + _LAST_POLL_SECONDS)
        self._hurried = True
        self.launcher.give_up("the worker was stopped before the task ended")

    # ---------------------------------------------------------------------------------------- poll

    async def _poll_for_ever(self) -> None:
        retry = self._options.retry
        backoff = Backoff(retry)
        # An answer that comes too soon is no try that has failed, so no policy counts it.
        pause = Backoff(dataclasses.replace(retry, max_attempts=TIRELESS.max_attempts))
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while self.ledger.wants_work:
                    sent_at = self.loop.time()
                    try:
                        fruitful = await self._poll(self._options.poll_seconds)
                    except UwfqError as error:
                        await self._endure(error, backoff)
                        continue
                    backoff.reset()
                    if fruitful or self.loop.time() - sent_at > _HASTY_SECONDS:
                        pause.reset()
                    else:
                        await asyncio.sleep(pause.next_wait() or 0.0)
        except UwfqError as error:
            self._fail(error)

    async def _poll(self, wait_seconds: float, *, last: bool = False) -> bool:
        """Ask once; whether the answer brought anything.

        The results that ride along are owed again unless they are acknowledged.
        """
        results = self.ledger.take_results()
        started = self.ledger.unannounced()
        request = self._poll_request(wait_seconds, results, started, last=last)
        self._polled_free = request.free_slots
        self._poll_open = True
        self.polls += 1
        try:
            response = await self._call_poll(request)
        except BaseException:
            self.ledger.put_back(results)
            raise
        if response is None:
            self.ledger.put_back(results)
            return True
        self._poll_id += 1
        self._poll_open = False
        self._mended()
        self._take_in(response, results, started)
        return bool(response.leases or response.revoked_lease_ids or results)

    async def _call_poll(self, request: pb.NextTaskRequest) -> pb.NextTaskResponse | None:
        """The answer; ``None`` when the report has called the poll off."""
        # gRPC would take what is far beyond for an instant that has passed.
        timeout = min(request.wait_seconds, _LONGEST_POLL_SECONDS) + _ANSWER_SECONDS
        self._poll_call = self._transport.scheduler.NextTask(request, timeout=timeout)
        try:
            return await self._poll_call
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            return None
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            self._poll_call = None

    def _poll_request(
        self,
        wait_seconds: float,
        results: list[types_pb2.TaskResult],
        started: list[Attempt],
        *,
        last: bool,
    ) -> pb.NextTaskRequest:
        options = self._options
        return pb.NextTaskRequest(
            pool=options.pool,
            worker_id=options.worker_id,
            slots=options.slots,
            free_slots=self.ledger.free_slots,
            prefetch=options.prefetch,
            # The last poll asks for nothing but what an earlier one may have been granted.
            max_tasks=0 if last else options.max_batch,
            wait_seconds=wait_seconds,
            poll_id=self._poll_id,
            done=results,
            started=self._starts(started),
        )

    def _starts(self, attempts: list[Attempt]) -> list[types_pb2.TaskStart]:
        now = self.loop.time()
        return [
            types_pb2.TaskStart(
                lease_id=attempt.task.lease_id, running_seconds=now - attempt.started_at
            )
            for attempt in attempts
        ]

    def _take_in(
        self,
        response: pb.NextTaskResponse,
        results: list[types_pb2.TaskResult],
        started: list[Attempt],
    ) -> None:
        self._acknowledged(results, response.done_acks)
        for attempt in started:
            attempt.announced = True
        if response.revoked_lease_ids:
            self._revoked(response.revoked_lease_ids, _REVOKED)
        if response.leases:
            earliest = self.ledger.grant(response.leases, self.loop.time())
            if earliest < self._renewal_planned:
                self._renew_sooner.set()
            if self._hurried:
                self.ledger.abandon_queue()
            self.launcher.launch()

    # -------------------------------------------------------------------------------------- report

    def _changed(self) -> None:
        """Attempts have ended: poll for more, or see that their results are not kept for long."""
        self._progress.set()
        if self.ledger.wants_work:
            self._wanted.set()
        if (
            self.ledger.owes
            and self._report_timer is None
            and self._reporter is None
            and not self._stop.is_set()
        ):
            # A poll that leaves before the timer takes the results along.
            self._report_timer = self.loop.call_later(
                self._options.report_delay_seconds, self._report_due
            )

    def _report_due(self) -> None:
        self._report_timer = None
        if self.ledger.owes and not self._stop.is_set():
            self._reporter = self.loop.create_task(self._report_all(), name="uwfq-report")

    async def _report_all(self) -> None:
        backoff = Backoff(self._options.retry)
        try:
            while self.ledger.owes:
                try:
                    await self._report()
                    backoff.reset()
                except UwfqError as error:
                    await self._endure(error, backoff)
        except UwfqError as error:
            self._fail(error)
        finally:
            self._reporter = None
        self._changed()
        # The report has overtaken the poll, so the poll is parked; and it speaks of fewer free
        # slots than there are by now, which may be too few for the task that comes next.
        if self._poll_call is not None and self.ledger.free_slots > self._polled_free:
            self._poll_call.cancel()

    async def _report(self) -> None:
        """Send what is owed, once."""
        results = self.ledger.take_results()
        request = pb.TaskDoneRequest(worker_id=self._options.worker_id, results=results)
        try:
            response = await self._transport.unary(
                self._transport.scheduler.TaskDone, request, _ANSWER_SECONDS
            )
        except BaseException:
            self.ledger.put_back(results)
            raise
        self._mended()
        self._acknowledged(results, response.acks)

    def _acknowledged(
        self, results: list[types_pb2.TaskResult], acks: Sequence[types_pb2.TaskResultAck]
    ) -> None:
        if not results:
            return
        late = self.ledger.late(acks)
        self.ledger.acknowledged(results, acks)
        if late:
            log.info("%d results came too late and do not count", late)
        self._progress.set()

    # --------------------------------------------------------------------------------------- renew

    async def _renew_for_ever(self) -> None:
        backoff = Backoff(self._options.retry)
        while True:
            self._renew_sooner.clear()
            self._renewal_planned = self.ledger.next_renewal()
            due = None if self._renewal_planned == math.inf else self._renewal_planned
            try:
                async with asyncio.timeout_at(due):
                    await self._renew_sooner.wait()
                continue
            except TimeoutError:
                pass
            try:
                await self._renew()
                backoff.reset()
            except UwfqError as error:
                # The polls will find out whether it is fatal.
                await self._wait_out(error, backoff)

    async def _renew(self) -> None:
        started = self.ledger.unannounced()
        request = pb.RenewLeasesRequest(
            worker_id=self._options.worker_id,
            lease_ids=self.ledger.due_for_renewal(self.loop.time()),
            started=self._starts(started),
        )
        if not request.lease_ids:
            return  # They have ended meanwhile; an empty list would mean all.
        response = await self._transport.unary(
            self._transport.scheduler.RenewLeases, request, _ANSWER_SECONDS
        )
        for attempt in started:
            attempt.announced = True
        now = self.loop.time()
        for renewal in response.renewals:
            if renewal.status == pb.LEASE_STATUS_RENEWED:
                self.ledger.renewed(renewal.lease_id, renewal.expires_in_seconds, now)
            else:
                self.ledger.void(renewal.lease_id)
                revoked = renewal.status == pb.LEASE_STATUS_REVOKED
                reason = _REVOKED if revoked else "its lease expired"
                self._revoked([renewal.lease_id], reason)

    def _revoked(self, lease_ids: Iterable[int], reason: str) -> None:
        self.launcher.interrupt(self.ledger.revoke(lease_ids, reason))
        self._changed()

    # --------------------------------------------------------------------------------------- drain

    async def _drain(self) -> None:
        """Let what is held come to its end, and report it."""
        if self._reporter is not None:
            await _cancelled(self._reporter)
        backoff = Backoff(self._options.retry)
        silent_since: float | None = None
        while self._poll_open or not self.ledger.settled:
            if not self._poll_open and not self.ledger.owes:
                await self._progress.wait()
                self._progress.clear()
                continue
            asked_at = self.loop.time()
            try:
                await self._say_what_is_left()
                silent_since = None
                backoff.reset()
            except UwfqError as error:
                silent_since = silent_since or asked_at
                if self._is_hopeless(error, silent_since):
                    if not self.ledger.settled:
                        log.warning("stopping with results that were not reported: %s", error)
                    return
                await self._wait_out(error, backoff)
        await self._take_leave()

    async def _say_what_is_left(self) -> None:
        """Repeat the poll that is open, or else report what is owed."""
        brief = self._hurried or self.ledger.settled
        try:
            async with asyncio.timeout(_LAST_POLL_SECONDS if brief else None) as self._patience:
                # The last poll may have been granted leases whose answer was lost with it.
                await (self._poll(0.0, last=True) if self._poll_open else self._report())
        except TimeoutError:
            raise DeadlineExceeded("the service does not answer") from None
        finally:
            self._patience = None

    async def _take_leave(self) -> None:
        """Tell the service that these slots are gone; else it would count on them for a while.

        Once: an answer that is lost, or a service that is away, costs nothing but that while.
        """
        request = pb.NextTaskRequest(
            pool=self._options.pool, worker_id=self._options.worker_id, leaving=True
        )
        with contextlib.suppress(UwfqError):
            await self._transport.unary(
                self._transport.scheduler.NextTask, request, _LAST_POLL_SECONDS
            )

    def _is_hopeless(self, error: UwfqError, silent_since: float) -> bool:
        if isinstance(error, _FATAL):
            return True
        if self.ledger.busy:
            return False
        brief = self.ledger.settled or self._hurried
        patience = _LAST_POLL_SECONDS if brief else _LAST_REPORT_SECONDS
        return self.loop.time() - silent_since >= patience

    # ------------------------------------------------------------------------------------- trouble

    async def _endure(self, error: UwfqError, backoff: Backoff) -> None:
        """Wait before the next try; raises ``error`` if none could succeed."""
        if isinstance(error, _FATAL):
            raise error
        await self._wait_out(error, backoff)

    async def _wait_out(self, error: UwfqError, backoff: Backoff) -> None:
        wait = backoff.next_wait(error)
        if wait is None:
            raise error
        if not self._in_trouble:
            # Once per outage, however many tries it takes.
            log.warning("the service does not serve, trying again: %s", error)
            self._in_trouble = True
        await asyncio.sleep(wait)

    def _mended(self) -> None:
        if self._in_trouble:
            log.info("the service serves again")
            self._in_trouble = False

    def _fail(self, error: UwfqError) -> None:
        self._error = error
        self._stop.set()


def _is_being_cancelled() -> bool:
    """Whether somebody cancels the task that asks."""
    # Not where it is raised: the error would keep the task, which keeps the error.
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel these and wait until they are gone."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
