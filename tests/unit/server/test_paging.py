"""Pages: what a token holds, and where a page ends."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwfq_service.core.errors import InvalidField
from uwfq_service.core.model import Job
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.server import paging


@given(number=st.integers(1, 2**40), name=st.text(), query=st.tuples(st.text(), st.integers()))
def test_a_token_leads_back_to_its_place(number: int, name: str, query: tuple[object, ...]) -> None:
    """Whatever the name or number."""
    assert paging.read_token(paging.write_token(query, number), query, int) == number
    assert paging.read_token(paging.write_token(query, name), query, str) == name


@pytest.mark.parametrize("token", ["x", "!!!", "AAAA", "kgE", paging.write_token(("other",), 5)])
def test_a_token_of_something_else_is_refused(token: str) -> None:
    """Of another query, cut short, or made up."""
    with pytest.raises(InvalidField) as caught:
        paging.read_token(token, ("jobs",), int)
    assert caught.value.field == "page_token"


def test_a_token_of_another_kind_of_place_is_refused() -> None:
    """A name is no number."""
    token = paging.write_token(("jobs",), "name")
    with pytest.raises(InvalidField):
        paging.read_token(token, ("jobs",), int)


@pytest.mark.parametrize(("asked", "given"), [(0, 100), (7, 7), (1000, 1000), (5000, 1000)])
def test_a_page_has_a_default_and_a_greatest_size(asked: int, given: int) -> None:
    """As the protocol says."""
    assert paging.page_size(asked) == given


def job(number: int, stages: int = 1) -> Job:
    """As much of a job as a page looks at."""
    return cast(Job, SimpleNamespace(number=number, stages=[None] * stages))


def core(jobs: dict[int, Job], next_job: int) -> Scheduler:
    """As much of a scheduler as a page looks at."""
    state: Any = SimpleNamespace(jobs_by_number=jobs, next_job=next_job)
    return cast(Scheduler, SimpleNamespace(state=state))


@given(
    numbers=st.sets(st.integers(1, 60)),
    wide=st.booleans(),
    size=st.integers(1, 7),
    odd=st.booleans(),
    data=st.data(),
)
def test_pages_together_hold_every_wanted_job_once(
    numbers: set[int], wide: bool, size: int, odd: bool, data: st.DataObject
) -> None:
    """Newest first, with gaps where jobs are forgotten, even when some are on the way."""
    if wide:
        numbers = {number**5 for number in numbers}
    jobs = {number: job(number) for number in sorted(numbers)}
    seen: list[int] = []
    after: int | None = None
    while True:
        page, after = paging.scan(
            paging.jobs_before(core(jobs, 61**5 if wide else 61), after),
            wanted=lambda each: not odd or each.number % 2 == 1,
            size=size,
        )
        seen += [each.number for each in page]
        if after is None:
            break
        forgotten = data.draw(st.sampled_from(sorted(jobs)))
        if forgotten in seen:
            del jobs[forgotten]
    assert seen == sorted((n for n in numbers if not odd or n % 2), reverse=True)


def test_a_page_ends_when_it_has_looked_long_enough() -> None:
    """A filter that nobody passes must not hold up the event loop."""
    jobs = {number: job(number) for number in range(1, paging.MAX_SCAN + 10)}
    page, after = paging.scan(
        paging.jobs_before(core(jobs, len(jobs) + 1), None), wanted=lambda _: False, size=10
    )
    assert (page, after) == ([], 10)


def test_an_old_job_is_found_without_a_walk_past_those_that_are_forgotten() -> None:
    """It may wait while millions come and go; a page for each 20,000 of them would be empty."""
    numbers = (3, 7, 30_000_000, 30_000_001)
    jobs = {number: job(number) for number in numbers}
    everything = core(jobs, 30_000_002)
    page, after = paging.scan(paging.jobs_before(everything, None), wanted=lambda _: True, size=2)
    assert [each.number for each in page] == [30_000_001, 30_000_000]
    page, after = paging.scan(paging.jobs_before(everything, after), wanted=lambda _: True, size=10)
    assert [each.number for each in page] == [7, 3]
    assert after is None


def test_jobs_of_many_stages_make_shorter_pages() -> None:
    """A page is bounded by what it says, not only by how many jobs it names."""
    jobs = {number: job(number, stages=4000) for number in range(1, 100)}
    page, after = paging.scan(
        paging.jobs_before(core(jobs, 100), None), wanted=lambda _: True, size=50
    )
    assert len(page) == 3
    assert after == page[-1].number


@given(names=st.sets(st.text(max_size=3)), size=st.integers(1, 5))
def test_names_come_in_order_each_once(names: set[str], size: int) -> None:
    """Page by page."""
    seen: list[str] = []
    while page := paging.names_after(names, seen[-1] if seen else None, size):
        seen += page
    assert seen == sorted(names)
