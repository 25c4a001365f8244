"""Tells a story to the real core, on a clock that stands still until the story moves it.

What is asked, what happens and what is answered is written down, one line each:

    time > a command        time   an event        time < an answer        time = a look

Between two commands the story does what the service does: it sends ``Tick`` whenever one is due.
All along the invariants hold, and a second scheduler that is told nothing but the events comes to
the same state.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tests.scenarios.wording import (
    Names,
    describe_command,
    describe_event,
    describe_reply,
    show,
)
from uwfq_service.core import commands as cmd
from uwfq_service.core import events as ev
from uwfq_service.core.errors import SchedulerError
from uwfq_service.core.invariants import check
from uwfq_service.core.model import Lease
from uwfq_service.core.policy.uwfq import UwfqPolicy
from uwfq_service.core.replies import NextTaskReply, Reply
from uwfq_service.core.scheduler import Outcome, Scheduler
from uwfq_service.core.settings import Settings

POOL: Final = "default"
#: Round numbers, so that a log can be checked in one's head.
SETTINGS: Final = Settings(
    lease_seconds=10.0,
    worker_timeout=30.0,
    engine_timeout=60.0,
    max_attempts=3,
    retry_backoff=1.0,
    retry_backoff_max=30.0,
    hold_after=5.0,
    retention_seconds=1000.0,
)


class Story:
    """One scheduler with one pool, the time, and the log."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []
        self._names: Names = {}
        self._begin(SETTINGS)

    def _begin(self, settings: Settings) -> None:
        self._settings = settings
        self.scheduler = Scheduler(settings)
        self._replayed = Scheduler(settings)
        self.do(cmd.ConfigurePool(pool=POOL))

    def settings(self, **changed: Any) -> None:
        """Begin anew with other settings than ``SETTINGS`` in some respects."""
        self.log.clear()
        self._begin(msgspec.structs.replace(SETTINGS, **changed))

    # -- time -----------------------------------------------------------------------------------

    def at(self, now: float) -> None:
        """Let time go on to ``now``; what falls due until then happens when it is due."""
        while (due := self.scheduler.next_wakeup()) is not None and due <= now:
            self.now = max(self.now, due)
            self._note(self.scheduler.apply(cmd.Tick(), self.now))
        self.now = now

    def restart(self, after: float) -> None:
        """The service crashes and is back ``after`` seconds later, from its journal."""
        self.now += after
        self._write("#", "the service is back")
        self.scheduler, self._replayed = (
            self._replayed,
            Scheduler.load(self._replayed.dump(), self._settings),
        )
        self._note(self.scheduler.recover(self.now))

    # -- commands -------------------------------------------------------------------------------

    def do(self, command: cmd.Command) -> Reply | None:
        """Apply a command; ``None``: it was refused."""
        self._write(">", describe_command(command))
        try:
            outcome = self.scheduler.apply(command, self.now)
        except SchedulerError as error:
            self._write("<", f"refused, {type(error).__name__}: {error}")
            return None
        self._note(outcome)
        for line in describe_reply(outcome.reply):
            self._write("<", line)
        return outcome.reply

    def submit(
        self, job: str, by: str, tasks: int = 1, work: float | None = None, **more: Any
    ) -> None:
        """``by`` submits a job of one stage ``run`` (or of ``stages``); ``work`` is declared."""
        stages = more.pop("stages", None) or (stage("run", tasks, **_pop_stage_fields(more)),)
        self.do(cmd.SubmitJob(user=by, job_id=job, declared_work=work, stages=stages, **more))

    def poll(self, worker: str, slots: int = 1, free: int | None = None, **more: Any) -> list[int]:
        """``worker`` asks for work; returns its leases."""
        free = slots if free is None else free
        reply = self.do(cmd.NextTask(worker_id=worker, slots=slots, free_slots=free, **more))
        return (
            [lease.lease_id for lease in reply.leases] if isinstance(reply, NextTaskReply) else []
        )

    def poll_one(self, worker: str, slots: int = 1, free: int | None = None, **more: Any) -> int:
        """As ``poll``, where one lease is expected."""
        (lease,) = self.poll(worker, slots, free, **more)
        return lease

    def done(self, worker: str, *results: cmd.TaskResult) -> None:
        """``worker`` reports results."""
        self.do(cmd.TaskDone(worker_id=worker, results=results))

    def renew(self, worker: str, *leases: int, started: tuple[cmd.TaskStart, ...] = ()) -> None:
        """``worker`` renews these leases, or all that it holds."""
        self.do(cmd.RenewLeases(worker_id=worker, lease_ids=leases, started=started))

    def lease(self, lease_id: int) -> Lease:
        """A live lease."""
        return self.scheduler.state.leases[lease_id]

    # -- looks ----------------------------------------------------------------------------------

    def look(self, *jobs: str) -> None:
        """Write down virtual time, and of each job its charge and deadlines.  Changes nothing."""
        pool = self.scheduler.pools[POOL]
        policy = pool.policy
        assert isinstance(policy, UwfqPolicy), "the stories run under uwfq"
        policy.advance(self.now)
        owed = sorted(user.name for user in pool.users.values() if policy.is_active(user))
        self._write(
            "=", f"R={pool.slots} V={show(policy.virtual_time(self.now))} active={show(owed)}"
        )
        for name in jobs:
            job = self.scheduler.job(name)
            charge = f"charged {show(job.work)}, measured {show(job.measured)}"
            deadline = f"D={show(policy.virtual_deadline(job))}"
            self._write("=", f"{name} {job.state}: {charge}, {deadline}")

    def account(self, *users: str) -> None:
        """Write down what users were charged for, and what of it is settled."""
        for name in users:
            user = self.scheduler.pools[POOL].users[name]
            charged, settled = show(user.charged), show(user.settled)
            self._write("=", f"{name}: charged {charged}, settled {settled}")

    def end(self) -> list[str]:
        """The log; a scheduler that was told the events is where the one that decided them is."""
        told, live = self._replayed.dump(self.now), self.scheduler.dump(self.now)
        assert told == live, "the events do not lead to where the commands led"
        return self.log

    # -- the log --------------------------------------------------------------------------------

    def _note(self, outcome: Outcome) -> None:
        for event in outcome.events:
            self._learn_names(event)
            self._write(" ", describe_event(event, self._names))
            self._replayed.replay(event)
        check(self.scheduler, self.now)

    def _learn_names(self, event: ev.AnyEvent) -> None:
        if isinstance(event, ev.JobAdmitted):
            self._names[event.job] = (event.job_id, [stage.stage for stage in event.stages])
        elif isinstance(event, ev.StagesAdded):
            self._names[event.job][1].extend(stage.stage for stage in event.stages)

    def _write(self, mark: str, line: str) -> None:
        self.log.append(f"{self.now:8.2f} {mark} {line}")


# -- the words of a story ----------------------------------------------------------------------


def stage(name: str, tasks: int = 1, *, after: tuple[str, ...] = (), **more: Any) -> cmd.StageSpec:
    """A stage that is cut into ``tasks`` already."""
    works = more.pop("task_work", ())
    cut = cmd.TaskList(count=tasks, task_work=works)
    return cmd.StageSpec(stage=name, after=after, cut=cut, **more)


def _pop_stage_fields(more: dict[str, Any]) -> dict[str, Any]:
    wanted = {"task_work", "slots_per_task", "max_attempts", "task_timeout"}
    return {field: more.pop(field) for field in wanted & more.keys()}


def placed(job: str, stage_name: str, task: int, attempt: int = 1) -> cmd.TaskRef:
    """An attempt that an engine placed itself."""
    return cmd.TaskRef(job_id=job, stage=stage_name, task_index=task, attempt=attempt)


def ok(which: int | cmd.TaskRef, ran: float, attempt: int = 1) -> cmd.TaskResult:
    """The attempt has finished its task in ``ran`` seconds."""
    return cmd.TaskResult(task=_ref(which, attempt), outcome=cmd.TaskSuccess(runtime=ran))


def failed(
    which: int | cmd.TaskRef, why: str, ran: float, attempt: int = 1, *, retryable: bool = True
) -> cmd.TaskResult:
    """The attempt has failed after ``ran`` seconds."""
    failure = cmd.TaskFailure(message=why, retryable=retryable, runtime=ran)
    return cmd.TaskResult(task=_ref(which, attempt), outcome=failure)


def begun(which: int | cmd.TaskRef, running: float = 0.0) -> cmd.TaskStart:
    """The attempt has been running for so long."""
    return cmd.TaskStart(task=_ref(which, 1), running=running)


def _ref(which: int | cmd.TaskRef, attempt: int) -> cmd.TaskRef:
    return cmd.TaskRef(lease_id=which, attempt=attempt) if isinstance(which, int) else which
