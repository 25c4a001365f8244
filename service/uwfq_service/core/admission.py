"""From a submission to admitted stages: estimate the work, cut it, check the dependencies.

Nothing here changes the state.  What is found goes into ``JobAdmitted`` and ``StagesAdded``.

A stage's work is what its tasks declare, else what the stage declares, else its part of what the
job declares, else what the estimator predicts.  What is declared is multiplied by the job's
``calibration``.  Units: slot-seconds.

``Admission.advise`` asks the same of a stage that nobody has submitted.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from uwfq_service.core import splitting
from uwfq_service.core.commands import InputDescriptor, TaskList
from uwfq_service.core.errors import InvalidField
from uwfq_service.core.estimation import GUESSES, Source
from uwfq_service.core.events import AdmittedStage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from uwfq_service.core.commands import StageSpec, SubmitJob
    from uwfq_service.core.estimation import Estimator
    from uwfq_service.core.model import Job, Pool
    from uwfq_service.core.settings import Settings

#: Least work that a stage is charged for: a deadline needs some.
MIN_WORK: Final = 1e-9

#: Looking up a member of an enum costs as much as two calls under Python 3.11.
_DECLARED: Final = Source.DECLARED

_encoder = msgspec.msgpack.Encoder(enc_hook=str, order="deterministic")


def fingerprint(record: object) -> bytes:
    """16 bytes that tell equal content from other content."""
    return blake2b(_encoder.encode(record), digest_size=16).digest()


def job_fingerprint(command: SubmitJob) -> bytes:
    """The fingerprint of a submission; its names (``job_id``, ``request_id``) are not content."""
    return fingerprint(
        (
            command.pool,
            command.user,
            command.kind,
            command.signature,
            command.input_bytes,
            command.labels,
            command.job_weight,
            command.declared_work,
            command.advisory_task_runtime,
            command.stages,
            command.open,
            command.engine_id,
        )
    )


class Admission(msgspec.Struct):
    """Estimates and cuts the stages of one job."""

    settings: Settings
    estimator: Estimator
    number: Callable[[Any], Any]
    pool: Pool
    user: str
    #: The job, or the submission that asks for it.
    job: Job | SubmitJob
    calibration: float

    @property
    def _declared(self) -> Source:
        return _DECLARED if self.calibration == 1 else Source.CALIBRATED

    def stages(
        self,
        specs: Sequence[StageSpec],
        known: dict[str, int],
        *,
        declared_work: Any | None = None,
        alone: bool = False,
        places: Sequence[int] | None = None,
    ) -> tuple[AdmittedStage, ...]:
        """Cut ``specs``; ``alone``: they are the whole of a closed job of one stage.

        ``known`` maps the names of the stages that the job has already to their indices.
        ``places`` says where each stands in the caller's list, if that has others as well.
        """
        afters = resolve_dependencies(specs, known, places)
        # An only stage is all that its job declares, whatever would be predicted of it.
        whole = declared_work if len(specs) == 1 else None
        sizes = []
        estimates = []
        for spec in specs:
            size = stage_bytes(spec.cut)
            if size is None and alone:
                size = self.job.input_bytes
            sizes.append(size)
            estimates.append(self._estimate(spec, size, alone, whole))
        if declared_work is not None and whole is None:
            estimates = self._share(declared_work, estimates)
        admitted = []
        ranges = 0
        for spec, after, estimate, size in zip(specs, afters, estimates, sizes, strict=True):
            stage = self._admit(spec, after, estimate, size)
            admitted.append(stage)
            if stage.bounds:
                ranges += stage.task_count
                # Seen as they are cut, so that no call takes longer than one that is allowed.
                self._refuse_ranges(ranges)
        return tuple(admitted)

    def _refuse_ranges(self, ranges: int) -> None:
        limit = self.settings.limits.max_ranges
        if ranges > limit:
            raise InvalidField(
                "stages",
                f"would be cut into more than {limit} ranges, the most in one call; ask for fewer "
                "tasks (max_tasks, advisory_task_runtime_seconds), or add stages one by one",
            )

    def _estimate(
        self,
        spec: StageSpec,
        input_bytes: int | None,
        alone: bool,
        whole: float | None = None,
    ) -> tuple[Any, Source]:
        """``whole``: what the job declares, if that is this stage's alone."""
        if isinstance(spec.cut, TaskList) and spec.cut.task_work:
            return self._calibrated(sum(spec.cut.task_work)), self._declared
        declared = whole if spec.declared_work is None else spec.declared_work
        if declared is not None:
            return self._calibrated(declared), self._declared
        prediction = self.estimator.predict(
            self.job.signature,
            self.user,
            input_bytes,
            stage="" if alone else spec.stage,
            stage_signature=spec.signature,
        )
        return self.number(prediction.work), prediction.source

    def _calibrated(self, declared: float) -> Any:
        work = self.number(declared)
        return work if self.calibration == 1 else work * self.number(self.calibration)

    def _share(
        self, declared_work: Any, estimates: list[tuple[Any, Source]]
    ) -> list[tuple[Any, Source]]:
        """Share what the job declared among the stages that declare nothing, as predicted.

        If the others declare all of it already the prediction stands: with next to nothing as their
        estimate, what these stages measure would be extrapolated to the stars.
        """
        mine = self._declared
        declared = sum(work for work, source in estimates if source is mine)
        predicted = sum(work for work, source in estimates if source is not mine)
        left = self._calibrated(declared_work) - declared
        if not predicted or left <= 0:
            return estimates
        scale = left / predicted
        return [
            (work, source) if source is mine else (work * scale, mine) for work, source in estimates
        ]

    def advise(self, spec: StageSpec, *, ranges: bool) -> AdmittedStage:
        """How ``stages`` would cut one stage of an open job, whatever it waits for.

        Without ``ranges`` it says into how many tasks, not where, and takes no time for each.
        """
        size = stage_bytes(spec.cut)
        estimate = self._estimate(spec, size, alone=False)
        return self._admit(spec, (), estimate, size, ranges=ranges)

    def _admit(
        self,
        spec: StageSpec,
        after: tuple[int, ...],
        estimate: tuple[Any, Source],
        input_bytes: int | None,
        *,
        ranges: bool = True,
    ) -> AdmittedStage:
        settings = self.settings
        work, source = estimate
        too_little = work < MIN_WORK
        if too_little:
            work = self.number(MIN_WORK)
        split = self._split(spec, work, source, ranges=ranges)
        # One name more, and Python would make a dictionary of them first.
        stage = AdmittedStage(
            stage=spec.stage,
            after=after,
            task_count=split.task_count,
            slots_per_task=spec.slots_per_task,
            payload=spec.payload,
            work=work,
            source=source,
            advisory_task_runtime=split.advisory_task_runtime,
            reason=split.reason,
            # What was measured of a task would be extrapolated by its part of next to nothing.
            task_work=b"" if too_little else split.task_work,
            bounds=split.bounds,
            input_bytes=input_bytes,
            max_attempts=spec.max_attempts or settings.max_attempts,
            task_timeout=spec.task_timeout,
            signature=spec.signature,
        )
        # Only an open job can be given a stage twice.
        return replace(stage, fingerprint=fingerprint(spec)) if self.job.open else stage

    def _split(
        self, spec: StageSpec, work: Any, source: Source, *, ranges: bool
    ) -> splitting.Split:
        settings = self.settings
        advisory_task_runtime = (
            spec.advisory_task_runtime
            or self.job.advisory_task_runtime
            or self.pool.advisory_task_runtime
            or settings.advisory_task_runtime
        )
        if isinstance(spec.cut, TaskList):
            return splitting.as_the_caller_cut(
                spec.cut, work, advisory_task_runtime, self.calibration
            )
        return splitting.split(
            spec.cut,
            work=work,
            slots_per_task=spec.slots_per_task,
            advisory_task_runtime=advisory_task_runtime,
            task_overhead=float(self.pool.overhead),
            overhead_budget=settings.overhead_budget,
            min_tasks=spec.min_tasks,
            # A guess that is too low would leave most slots without a task.
            guess_tasks=max(self.pool.slots, 1) if source in GUESSES else 0,
            known=source is not Source.PRIOR,
            ranges=ranges,
            max_tasks=min(
                settings.max_split_tasks,
                settings.limits.max_tasks_per_stage,
                spec.max_tasks or settings.max_split_tasks,
            ),
        )

    def job_work(self, command: SubmitJob, stages: Sequence[AdmittedStage]) -> Any:
        """L of a job at its submission."""
        revealed = stages[0].work if len(stages) == 1 else sum(stage.work for stage in stages)
        if command.declared_work is not None:
            return max(self._calibrated(command.declared_work), revealed)
        if command.open:
            # More stages will come: charge for the whole that history knows.
            whole = self.estimator.predict(self.job.signature, self.user, command.input_bytes)
            if whole.source is not Source.PRIOR or not stages:
                return max(self.number(whole.work), revealed)
        return revealed


def stage_bytes(cut: TaskList | InputDescriptor | None) -> int | None:
    """Bytes that a stage reads, if its cut says so."""
    if isinstance(cut, TaskList):
        return sum(cut.task_bytes) if cut.task_bytes else None
    return None if cut is None else sum(cut.unit_sizes)


def resolve_dependencies(
    specs: Sequence[StageSpec], known: dict[str, int], places: Sequence[int] | None = None
) -> list[tuple[int, ...]]:
    """The indices that each stage waits for.

    Raises ``InvalidField`` for an unknown name and for a cycle; ``places`` as in ``Admission``.
    """
    for spec in specs:
        if spec.after:
            break
    else:
        return [()] * len(specs)
    index = dict(known)
    for offset, spec in enumerate(specs):
        index[spec.stage] = len(known) + offset
    if places is None:
        places = range(len(specs))
    afters = []
    for position, spec in zip(places, specs, strict=True):
        for place, before in enumerate(spec.after):
            if before not in index:
                raise InvalidField(
                    f"stages[{position}].after[{place}]", f"the job has no stage {before!r}"
                )
        afters.append(tuple(sorted({index[before] for before in spec.after})))
    _refuse_cycle(specs, afters, len(known), places)
    return afters


def _refuse_cycle(
    specs: Sequence[StageSpec], afters: list[tuple[int, ...]], first: int, places: Sequence[int]
) -> None:
    # In most jobs every stage names earlier ones, and there is nothing to search.
    if all(not after or after[-1] < first + i for i, after in enumerate(afters)):
        return
    waits = {i: [b - first for b in after if b >= first] for i, after in enumerate(afters)}
    if (caught := in_a_cycle(waits)) is not None:
        raise InvalidField(
            f"stages[{places[caught]}].after",
            f"stage {specs[caught].stage!r} waits for itself, directly or through others",
        )


def in_a_cycle(waits: Mapping[int, Sequence[int]]) -> int | None:
    """The first of a circle of those that wait for each other; ``None``: there is no circle.

    O(those who wait + for how many).
    """
    left = {index: set(before) for index, before in waits.items()}
    waiting_for: dict[int, list[int]] = {}
    for index, before in left.items():
        for other in before:
            waiting_for.setdefault(other, []).append(index)
    free = [index for index, before in left.items() if not before]
    while free:
        done = free.pop()
        del left[done]
        for index in waiting_for.get(done, ()):
            left[index].discard(done)
            if not left[index]:
                free.append(index)
    if not left:
        return None
    # Some of what is left merely waits for a circle; going back far enough leads into one.
    path: dict[int, None] = {}
    at = min(left)
    while at not in path:
        path[at] = None
        at = min(left[at])
    return min(list(path)[list(path).index(at) :])
