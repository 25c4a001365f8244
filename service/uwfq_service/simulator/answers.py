"""The answer to "what would this scheduler do to my workload?", in a few sentences.

One run is told about, the *subject*, against another that people know, the *reference*; then who
gains and who loses, by size of job and by user, and how far from the ideal the worst job is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from uwfq_service.simulator import metrics
from uwfq_service.simulator.naming import labels
from uwfq_service.simulator.runs import Run
from uwfq_service.simulator.tables import amounts

#: What people compare with, if it is there: the fair baseline in practice, then Spark's own.
_REFERENCES: Final = ("ujf", "fair", "fifo", "cfq", "uwfq_paper", "uwfq")
#: Times that differ by less are called the same.
_SAME: Final = 0.01
_TAKING: Final = ("are done {}x sooner", "take {}x as long", "take about as long")


def answer(runs: Sequence[Run], baseline: Run | None = None) -> list[str]:
    """Sentences about the runs of one workload, the most important one first.

    ``baseline`` is the reference if there is one, whether or not it is among the runs.
    """
    names = dict(zip(map(id, runs), labels(runs), strict=True))
    subject = _subject(runs)
    name = names[id(subject)]
    reference = _reference(runs, subject, baseline)
    if reference is None:
        return [_alone(subject, name)]
    other = names.get(id(reference), reference.options.policy)
    sentences = [
        _means(subject, name, reference, other),
        _sizes(subject, reference),
        _users(subject, reference, other),
        _lags(subject, name, reference, other),
    ]
    fastest = min(runs, key=_mean)
    if _mean(fastest) < _mean(subject) * (1 - _SAME):
        show = amounts([_mean(fastest)])
        sentences.append(
            f"The shortest mean response of all has {names[id(fastest)]}: {show(_mean(fastest))} s."
        )
    if baseline is not None and subject.options != baseline.options:
        sentences.append(_deadlines(subject, baseline))
    return sentences


def _mean(run: Run) -> float:
    return metrics.mean([job.response for job in run.jobs])


def _subject(runs: Sequence[Run]) -> Run:
    """Ours if it is there, the best of it if it is there more than once; else the fastest."""
    ours = [run for run in runs if run.options.policy == "uwfq"]
    return min(ours or runs, key=_mean)


def _reference(runs: Sequence[Run], subject: Run, baseline: Run | None) -> Run | None:
    if baseline is not None and baseline.options != subject.options:
        return next((run for run in runs if run.options == baseline.options), baseline)

    def rank(run: Run) -> int:
        known = run.options.policy in _REFERENCES
        return _REFERENCES.index(run.options.policy) if known else len(_REFERENCES)

    return min((run for run in runs if run is not subject), key=rank, default=None)


def _alone(run: Run, name: str) -> str:
    found = metrics.summary(run)
    show = amounts([found.mean_response, found.p50, found.p95])
    return (
        f"Under {name} a job takes {show(found.mean_response)} s on average; half of the jobs are "
        f"done within {show(found.p50)} s, 95 % within {show(found.p95)} s."
    )


def _means(subject: Run, name: str, reference: Run, other: str) -> str:
    ours, theirs = _mean(subject), _mean(reference)
    show = amounts([ours, theirs])
    change = _compared(ours, theirs, "{}x shorter than", "{}x longer than", "about the same as")
    return (
        f"Under {name} the mean response is {change} under {other}: "
        f"{show(ours)} s instead of {show(theirs)} s."
    )


def _sizes(subject: Run, reference: Run) -> str:
    ours, theirs = metrics.size_bands(subject), metrics.size_bands(reference)
    small = _compared(ours[0], theirs[0], *_TAKING)
    large = _compared(ours[2], theirs[2], *_TAKING)
    return f"The smallest 80 % of the jobs {small}, the largest 5 % {large}."


def _users(subject: Run, reference: Run, other: str) -> str:
    theirs = {user.user: user.mean_response for user in metrics.users(reference)}
    ratios = {
        user.user: user.mean_response / theirs[user.user]
        for user in metrics.users(subject)
        if theirs[user.user]
    }
    if not ratios:
        return f"No user waits at all under {other}."
    less = sum(ratio < 1 - _SAME for ratio in ratios.values())
    more = sum(ratio > 1 + _SAME for ratio in ratios.values())
    if not less and not more and all(theirs.values()):
        return "Every user waits about as long on average."
    told = f"{less:,} of {len(ratios):,} {_user(len(ratios))} less on average"
    if not more:
        return f"{told}, and none longer."
    worst = max(ratios, key=lambda user: ratios[user])
    return f"{told}, {more:,} longer (at most {ratios[worst]:.2f}x: {worst})."


def _user(count: int) -> str:
    return "user waits" if count == 1 else "users wait"


def _lags(subject: Run, name: str, reference: Run, other: str) -> str:
    lags = [metrics.summary(run).max_lag_over_fluid for run in (subject, reference)]
    show = amounts(lags)
    ours, theirs = (
        f"{show(lag)} s late" if lag > 0 and show(lag) != show(0.0) else "on time" for lag in lags
    )
    return (
        f"Held against an ideal cluster that serves all users at once, the latest job is {ours} "
        f"under {name}, {theirs} under {other}."
    )


def _deadlines(subject: Run, baseline: Run) -> str:
    found = metrics.deadlines(subject, baseline)
    told = [(found.slacks, found.dsr, "earlier"), (found.violations, found.dvr, "later")]
    if not found.slacks:
        told.reverse()
    (count, ratio, how), (more, their_ratio, otherwise) = told
    if not count:
        return f"Against {found.policy}, no job finishes at another time."
    rest = f"{more:,} {otherwise}, by {100 * their_ratio:.0f} %" if more else f"none {otherwise}"
    return (
        f"Against {found.policy}, {count:,} of {len(subject.jobs):,} jobs finish {how}, "
        f"by {100 * ratio:.0f} % of their response there on average, and {rest}."
    )


def _compared(ours: float, theirs: float, shorter: str, longer: str, same: str) -> str:
    """Which of the three texts is true, with the ratio, above 1, in it."""
    less, more = sorted((ours, theirs))
    ratio = more / less if less else math.inf if more else 1.0
    if ratio < 1 + _SAME:
        return same
    return (shorter if ours < theirs else longer).format(_times(ratio))


def _times(ratio: float) -> str:
    if math.isinf(ratio):
        return "∞"
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 1.1 else f"{ratio:.2f}"
