"""The bytes that are written by hand are the message that protobuf would build."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.server import messages
from uwfq.v1 import scheduler_service_pb2 as rpc
from uwfq_service.core import commands
from uwfq_service.core.replies import (
    Ack,
    AckStatus,
    NextTaskReply,
    RankedStage,
    Ranking,
    TaskDoneReply,
)
from uwfq_service.core.scheduler import Scheduler
from uwfq_service.server.wire import LeaseEncoder, task_done_response, varint, work_response

texts = st.text(max_size=20)
stages = st.builds(
    commands.StageSpec,
    stage=texts.filter(bool),
    payload=st.binary(max_size=300),
    cut=st.one_of(
        st.builds(commands.TaskList, count=st.integers(1, 300)),
        st.builds(
            commands.InputDescriptor,
            unit_sizes=st.lists(st.integers(1, 2**40), min_size=1, max_size=9).map(tuple),
            splittable=st.booleans(),
        ),
    ),
    declared_work=st.floats(0.1, 1e6),
    slots_per_task=st.integers(1, 300),
    task_timeout=st.none() | st.floats(0.5, 1e6),
)
jobs = st.builds(
    commands.SubmitJob,
    user=texts.filter(bool),
    kind=texts,
    signature=texts,
    labels=st.dictionaries(texts.filter(bool), texts, max_size=3),
    stages=stages.map(lambda stage: (stage,)),
)
acks = st.lists(
    st.builds(Ack, lease_id=st.integers(0, 2**40), status=st.sampled_from(AckStatus)), max_size=3
).map(tuple)
rankings = st.builds(
    Ranking,
    version=st.integers(1, 2**40),
    stages=st.lists(
        st.builds(
            RankedStage,
            job_id=texts,
            stage=texts,
            user=texts,
            virtual_deadline=st.floats(0, 1e9),
            waiting_tasks=st.integers(0, 99),
            launch_now=st.integers(0, 99),
        ),
        max_size=3,
    ).map(tuple),
)


def leased(submissions: list[commands.SubmitJob], most: int) -> NextTaskReply:
    """The answer to a worker that takes what there is."""
    core = Scheduler()
    core.apply(commands.ConfigurePool(pool="default"), 1.0)
    for submission in submissions:
        core.apply(submission, 1.0)
    poll = commands.NextTask(worker_id="w", slots=10**6, free_slots=10**6, max_tasks=most)
    reply = core.apply(poll, 2.0).reply
    assert isinstance(reply, NextTaskReply)
    return reply


@given(reply=st.builds(TaskDoneReply, acks=acks))
def test_acknowledgements_are_the_message_that_protobuf_builds(reply: TaskDoneReply) -> None:
    """Whatever became of the results."""
    written = rpc.TaskDoneResponse.FromString(task_done_response(reply))
    assert written == messages.task_done_response(reply)


@given(submissions=st.lists(jobs, max_size=4), most=st.integers(0, 700))
def test_leases_are_the_message_that_protobuf_builds(
    submissions: list[commands.SubmitJob], most: int
) -> None:
    """Whatever the job; written twice, the second time from memory."""
    reply = leased(submissions, most)
    encoder = LeaseEncoder()
    for _ in range(2):
        written = rpc.NextTaskResponse.FromString(encoder.response(reply))
        assert written == messages.next_task_response(reply)


@given(done=acks, started=acks, revoked=st.lists(st.integers(1, 2**60)), ranking=rankings)
def test_the_rest_of_an_answer_is_kept(
    done: tuple[Ack, ...], started: tuple[Ack, ...], revoked: list[int], ranking: Ranking
) -> None:
    """Acknowledgements, revoked leases and rankings stand beside the leases."""
    reply = NextTaskReply(
        done_acks=done, started_acks=started, revoked=tuple(revoked), ranking=ranking
    )
    written = rpc.NextTaskResponse.FromString(LeaseEncoder().response(reply))
    assert written == messages.next_task_response(reply)


@given(number=st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([127, 128, 16383, 16384])))
def test_a_varint_is_read_back(number: int) -> None:
    """Of any size, at every boundary of its bytes."""
    encoded = b"\x08" + varint(number)
    assert rpc.WorkResponse.FromString(encoded).sequence == number
    assert encoded == rpc.WorkResponse(sequence=number).SerializeToString() or number == 0


@given(sequence=st.integers(0, 2**64 - 1), revoked=st.lists(st.integers(1, 99), max_size=99))
def test_an_answer_on_the_stream_wraps_the_unary_one(sequence: int, revoked: list[int]) -> None:
    """Under its request's number."""
    answer = rpc.NextTaskResponse(revoked_lease_ids=revoked)
    field = rpc.WorkResponse.NEXT_TASK_FIELD_NUMBER
    written = work_response(sequence, field, answer.SerializeToString())
    expected = rpc.WorkResponse(sequence=sequence, next_task=answer)
    assert rpc.WorkResponse.FromString(written) == expected


def test_the_memory_for_stages_is_limited() -> None:
    """When it is full it begins anew; answers stay right."""
    submissions = [
        commands.SubmitJob(
            user="u",
            stages=(commands.StageSpec(stage=f"s{n}", payload=bytes([n]) * 1000),),
        )
        for n in range(50)
    ]
    reply = leased(submissions, 50)
    assert len(reply.leases) == 50
    encoder = LeaseEncoder(cache_bytes=10_000)
    written = rpc.NextTaskResponse.FromString(encoder.response(reply))
    assert written == messages.next_task_response(reply)
    assert sum(map(len, encoder._stages.values())) <= 10_000
