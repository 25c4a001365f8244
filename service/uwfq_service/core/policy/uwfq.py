"""User Weighted Fair Queuing: jobs by their global virtual deadlines.

Each user's launchable jobs wait in heaps (``user_queue.py``): those that the user's serial server
has yet to finish, in the order of the user's chain (their D are computed from it, and rise along
it), and those that it has finished, by their fixed D.  The better of the two tops is the user's
*head*, and only heads have a place in the order of the pool:

    user A   [a3 a7 a9 ...] [a1]     head a1 (D = 4)  --.
    user B   [b2 ...]       []       head b2 (D = 6)  ---+-->  pool: (4, a1) (6, b2) (9, c1)
    user C   [c1]           []       head c1 (D = 9)  --'

Time alone never changes a D, and an event of one user changes no other user's, so an event costs
the recomputing of one head.  Entries of all heaps that have become false stay until they surface.

A job of a signature that nobody has *seen* has a deadline that means little, and so has one without
a signature that came before any job of the pool had ended.  Such heads wait in a heap of their own,
the user with the fewest running slots per weight first, and one whose user has its share of the
slots lets all others go ahead: it fares as it would under user-job fairness.

A job whose charge is a guess, with a signature or without, starts with a single task, the *probe*.
Until that has ended the job lets all others go ahead, of its user and of everybody: it may be a
large one that would occupy all slots at once.  By then its charge is re-estimated, and it takes its
turn.  Free slots that nobody else wants are not denied to it.

Source: arXiv:2510.15485; the chain over remaining work and the corrections are ours
(``user_clock.py``).
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, ClassVar

from uwfq_service.core.launchable import order_changed
from uwfq_service.core.policy.base import Policy
from uwfq_service.core.policy.heads import HeadOrder, NarrowHeads
from uwfq_service.core.policy.user_queue import HEAD_FIELDS, UserQueue
from uwfq_service.core.user_clock import JobClock, UserClock
from uwfq_service.core.virtual_time import Countdown, FluidClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from uwfq_service.core.model import Job, User
    from uwfq_service.core.stage import Stage
    from uwfq_service.core.user_clock import JobKey


class UwfqPolicy(HeadOrder[UserQueue], Policy):
    """Jobs by (D, number), the chain over remaining work, charges corrected by measured work."""

    name: ClassVar[str] = "uwfq"
    has_deadlines: ClassVar[bool] = True
    corrects_estimates: ClassVar[bool] = True
    user_clock: ClassVar[type[UserClock]] = UserClock

    def __init__(self, number: Callable[[Any], Any], now: Any) -> None:
        Policy.__init__(self, number, now)
        clock = FluidClock(number(now), number(0))
        HeadOrder.__init__(self, clock, trusts_estimates=not self.corrects_estimates)
        self._narrow: dict[int, NarrowHeads] = {}  # type: ignore[assignment]
        #: Launchable jobs, of all users, that are unseen.
        self._unseen_jobs = 0
        # No need to pass through a method of ours: this is called for every event.
        self.advance = self._clock.advance  # type: ignore[method-assign]

    # -- notices --------------------------------------------------------------------------------

    @property
    def anchored_at(self) -> Any:
        return self._clock.anchored_at

    def stand_still(self, since: Any, now: Any) -> None:
        self._clock.stand_still(since, now)

    def catch_up(self, now: Any) -> None:
        self.advance(now)
        for queue in self._queues.values():
            if queue.clock.active:
                queue.clock.sync(self._clock.value(now))

    def set_slots(self, slots: int, now: Any) -> None:
        self._clock.set_slots(slots, now)

    def set_weight(self, user: User, weight: int, now: Any) -> None:
        queue = self._queue_of(user)
        clock = queue.clock
        if clock.active:
            v = self._clock.value(now)
            # V runs at the old sum of weights until now, and the user was served at the old weight.
            clock.sync(v)
            old = clock.weight
            clock.set_weight(weight, v)
            clock.weight = old
            self._clock.set_weight(clock, weight, now)
            self._clock.end_changed(clock)
        else:
            clock.weight = weight
        # Whoever is not active may have jobs to launch, and unseen ones go by slots per weight.
        self._mark(queue)
        self._mark_narrow(queue)

    def add_job(self, job: Job, now: Any) -> None:
        queue = self._queue_of(job.user)
        clock = JobClock(job.number, job.weight, job)
        job.policy_state = clock
        if job.stages:
            # It was admitted under another policy.
            clock.running_slots = sum(stage.running_slots for stage in job.stages)
            self._note_probe(job)
        user_clock = queue.clock
        was_active = user_clock.active
        user_clock.arrive(clock, job.work, self._clock.value(now))
        # An arrival only ever puts off the end of a user who is active, and that is found out then.
        if not was_active:
            self._clock.enter(user_clock, now)
        # With nothing to launch yet it puts off the user's jobs behind it all the same.
        self._moved(job.user)
        head = queue.head
        if head is not None and not self._is_behind(clock, head):
            self._mark(queue)
        self._mark_narrow(queue)

    def correct(self, job: Job, change: Any, now: Any) -> None:
        queue: UserQueue = job.user.policy_state
        user_clock = queue.clock
        was_active = user_clock.active
        clock = job.policy_state
        clock.corrected = clock.corrected or change > 0
        v = self._clock.value(now)
        user_clock.correct(clock, change, v, keeps_turn=not job.guessed)
        if not was_active:
            if user_clock.present:
                self._clock.enter(user_clock, now)
        elif change < 0:
            self._clock.end_changed(user_clock)
        if clock.launchable:
            # Its key may be another one.
            queue.push(clock)
        self._mark(queue)
        self._mark_narrow(queue, clock)

    def work_done(self, job: Job, now: Any) -> None:
        clock: JobClock = job.policy_state
        if clock.probed:
            self._note_probe(job)
        # A job that costs what it was charged for has used what stands at the front anyway.
        if clock.corrected and clock.chained:
            queue: UserQueue = job.user.policy_state
            used = job.measured + job.running_work(now)
            if queue.clock.advance_debt(clock, job.work, used, self._clock.value(now)):
                self._moved(job.user)
            self._mark(queue)
            self._mark_narrow(queue)

    def recognise(self, job: Job) -> None:
        if job.policy_state.launchable:
            job.user.policy_state.unseen -= 1
            self._unseen_jobs -= 1
        self._moved(job.user)
        self._note_probe(job)
        self._mark(job.user.policy_state)
        self._mark_narrow(job.user.policy_state)

    def end_job(self, job: Job, now: Any) -> None:
        # They would pile up where nobody asks what goes first, for nothing waits when it is asked.
        job.user.policy_state.take_displaced()

    def forget_job(self, job: Job) -> None:
        clock: JobClock | None = job.policy_state
        job.policy_state = None
        if clock is not None:
            clock.job, clock.forgotten = None, True
            clock.let_go()

    def forget_user(self, user: User) -> None:
        queue: UserQueue | None = user.policy_state
        if queue is not None:
            queue.clock.debt.forgotten = True
            queue.clock.debt.let_go()
        Policy.forget_user(self, user)
        HeadOrder.forget_user(self, user)

    def running_changed(self, stage: Stage, slots: int) -> None:
        job = stage.job
        queue: UserQueue = job.user.policy_state
        if job.guessed:
            job.policy_state.running_slots += slots
            self._note_probe(job)
        if queue.entry_unseen and queue.entry is not None:
            self._mark(queue)
        if queue.unseen and self.corrects_estimates:
            pool, user = job.pool, job.user
            # An unseen job has its place among those of others by the slots that its user runs on.
            pool.order_version += pool.launchable_tasks > user.launchable_tasks
        if self._narrow:
            self._mark_narrow(queue)

    def _moved(self, user: User) -> None:
        """Jobs of ``user`` stand elsewhere: another order, if there is anything to put in order."""
        queue: UserQueue = user.policy_state
        if queue.launchable > 1 or user.pool.launchable_tasks > user.launchable_tasks:
            order_changed(user)

    def _note_probe(self, job: Job) -> None:
        """Find out whether the job's first task is still to say what the job costs."""
        clock: JobClock = job.policy_state
        probed = clock.running_slots > 0 and self.awaits_probe(job)
        if probed != clock.probed:
            clock.probed = probed
            job.pool.order_version += 1
            queue: UserQueue = job.user.policy_state
            if clock.launchable:
                queue.push(clock)
            self._mark(queue)
            self._mark_narrow(queue, clock)

    def _mark_narrow(self, queue: UserQueue, job: JobClock | None = None) -> None:
        """As ``_mark``, in the narrow orders; ``job``, if given, may have another place now."""
        if self._narrow:
            for order in self._narrow.values():
                order.user_changed(queue.clock.number, job)

    # -- the order ------------------------------------------------------------------------------

    def offer(self, stage: Stage, now: Any) -> None:
        job = stage.job
        clock: JobClock = job.policy_state
        if not clock.launchable:
            queue: UserQueue = job.user.policy_state
            clock.launchable = True
            queue.launchable += 1
            queue.unseen += job.unseen
            self._unseen_jobs += job.unseen
            queue.push(clock)
            head = queue.head
            if head is None or not self._is_behind(clock, head):
                self._mark(queue)
        if self._narrow:
            self._offer_narrow(stage)

    @staticmethod
    def _is_behind(job: JobClock, head: JobClock) -> bool:
        """Whether ``job`` stands behind ``head`` in the chain, and so cannot concern its D."""
        # Whatever has come to the chain has a turn.
        if head.probed or not (head.chained and job.chained):
            return False
        return job.turn > head.turn  # type: ignore[operator]

    def withdraw(self, stage: Stage, now: Any) -> None:
        if self._narrow:
            self._withdraw_narrow(stage)
        job = stage.job
        if job.offered:
            return
        queue: UserQueue = job.user.policy_state
        clock: JobClock = job.policy_state
        clock.launchable = False
        queue.launchable -= 1
        queue.unseen -= job.unseen
        self._unseen_jobs -= job.unseen
        if queue.head is clock:
            self._mark(queue)

    def pause_changed(self, user: User) -> None:
        queue: UserQueue = user.policy_state
        self._mark(queue)
        self._mark_narrow(queue)

    def ranking(self) -> Iterator[Stage]:
        # Each user's jobs in their order; of the users' first ones the one that goes first is next.
        if self._stale:
            self._refresh()
        known: list[Any] = self._heads.copy()
        unseen: list[Any] = self._unseen.copy()
        begun: set[UserQueue] = set()

        def push(queue: UserQueue, jobs: Iterator[tuple[Any, int, JobClock]]) -> None:
            if (first := next(jobs, None)) is not None:
                deadline, number, clock = first
                job: Job = clock.job
                heap = unseen if self._is_unseen(job) else known
                rank = (clock.probed, self._ratio(job), deadline, number)
                heappush(heap, (*rank, queue, job, jobs))

        while known or unseen:
            for heap in (known, unseen):
                # A head, or what has been one, leads to its user's jobs.
                while heap and len(heap[0]) == HEAD_FIELDS:
                    queue = heappop(heap)[4]
                    if queue.entry is not None and queue not in begun:
                        begun.add(queue)
                        push(queue, queue.launchable_jobs())
            ahead = known and (
                not unseen or self._goes_first(known[0], unseen[0], unseen[0][5].user)
            )
            if first := known if ahead else unseen:
                *_, queue, job, jobs = heappop(first)
                for index in job.offered:
                    yield job.stages[index]
                push(queue, jobs)

    def _offered(self) -> Iterator[Stage]:
        for queue in self._queues.values():
            for clock in queue.in_any_order():
                for index in clock.job.offered:
                    yield clock.job.stages[index]

    def _narrow_order(self) -> NarrowHeads:
        return NarrowHeads(self._clock, trusts_estimates=not self.corrects_estimates)

    def _queue_of(self, user: User) -> UserQueue:
        """The user's queue, made if need be: not for looking, which is to change nothing."""
        queue: UserQueue | None = user.policy_state
        if queue is None:
            clock = self.user_clock(user.number, user.weight, self.number(0))
            queue = user.policy_state = self._queues[user.number] = UserQueue(clock)
        return queue

    # -- looking --------------------------------------------------------------------------------

    def virtual_deadline(self, job: Job) -> Any | None:
        if job.policy_state is None:
            # It had ended before this policy took over.
            return None
        clock: UserClock = job.user.policy_state.clock
        return clock.deadline(job.policy_state)

    def awaits_probe(self, job: Job) -> bool:
        return job.guessed and not job.estimated_done and self.corrects_estimates

    def user_deadline(self, job: Job) -> Any:
        """F of a job, slot-seconds per unit of job weight."""
        return job.policy_state.key[0]

    def virtual_time(self, now: Any) -> Any:
        return self._clock.value(now)

    def user_virtual_time(self, user: User, now: Any) -> Any:
        """U of a user."""
        queue: UserQueue | None = user.policy_state
        return self.number(0) if queue is None else queue.clock.value_at(self._clock.value(now))

    def countdown(self, deadline: Any, now: Any) -> Countdown:
        return Countdown(self._clock, deadline, now)

    def active_weight(self) -> int:
        return self._clock.active_weight

    def shares_in_order(self) -> Any | None:
        if not self._unseen_jobs or not self.corrects_estimates:
            return None
        return self._clock.slots, self._clock.active_weight

    def active_users(self) -> int:
        return len(self._clock.active)

    def is_active(self, user: User) -> bool:
        queue: UserQueue | None = user.policy_state
        return queue is not None and queue.clock.active

    def fluid_service(self, user: User, now: Any) -> Any | None:
        queue: UserQueue | None = user.policy_state
        if queue is None:
            # Not known here yet, and owed nothing.
            return None
        # What it served in vain, for a job that has turned out to cost less, has lapsed; and what
        # another policy gave before this one has been charged and served.
        return user.charged - queue.clock.remaining(self._clock.value(now))

    # -- snapshots ------------------------------------------------------------------------------

    def dump(self) -> Any:
        users = []
        for queue in self._queues.values():
            jobs = [_dumped(job) for job in queue.clock.jobs()]
            users.append([queue.clock.dump(), jobs])
        return [self._clock.dump(), users]

    def load(self, state: Any, users: dict[int, User], jobs: dict[int, Job], now: Any) -> None:
        fluid, user_states = state
        members: dict[int, Any] = {}
        for clock_state, present in user_states:
            clocks: dict[int, JobClock] = {}
            for number, weight, finish, chained, deadline, corrected, *newer in present:
                clock = JobClock(number, weight, jobs.get(number))
                clock.forgotten = clock.job is None
                clock.key = (finish, number, clock)
                clock.turn = _turn(clock, newer)
                clock.present = newer[1] if newer else True
                clock.chained, clock.deadline = chained, deadline
                clock.corrected = corrected
                clocks[number] = clock
                if clock.job is not None:
                    clock.job.policy_state = clock
            queue = UserQueue(self.user_clock.load(clock_state, clocks))
            users[queue.clock.number].policy_state = queue
            self._queues[queue.clock.number] = queue
            members[queue.clock.number] = queue.clock
        self._clock = FluidClock.load(fluid, members)
        self.advance = self._clock.advance  # type: ignore[method-assign]

    def dump_job(self, job: Job) -> Any:
        """What the policy knows of a job that may have left virtual time: F, D, F of its turn.

        Nothing of one that had ended before this policy took over.
        """
        clock: JobClock | None = job.policy_state
        if clock is None:
            return None
        assert clock.key is not None, "a job that was admitted has a key"
        assert clock.turn is not None, "a job that was admitted has a turn"
        return [clock.key[0], clock.deadline, clock.turn[0]]

    def load_job(self, job: Job, state: Any) -> None:
        """Take over what ``dump_job`` gave, for a job that has left virtual time."""
        if job.policy_state is None and state is not None:
            clock = job.policy_state = JobClock(job.number, job.weight, job)
            clock.key = (state[0], job.number, clock)
            clock.deadline = state[1]
            clock.turn = _turn(clock, state[2:])


def _dumped(clock: JobClock) -> list[Any]:
    """One job of the virtual system, as plain values."""
    assert clock.key is not None, "a job that was admitted has a key"
    assert clock.turn is not None, "a job that was admitted has a turn"
    return [
        clock.number,
        clock.weight,
        clock.key[0],
        clock.chained,
        clock.deadline,
        clock.corrected,
        clock.turn[0],
        clock.present,
    ]


def _turn(clock: JobClock, stored: Sequence[Any]) -> JobKey:
    """The turn that a snapshot holds; an older one holds none, for there it was the key."""
    assert clock.key is not None, "the key comes first"
    return (stored[0], clock.number, clock) if stored else clock.key
