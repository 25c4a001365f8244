"""``submit``: a job from options, or from a JSON file.

Options describe a job of one stage; a file may describe any.  Either becomes one call of the
client, whose answer says how the service has cut the job and when it should be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uwfq_service.cli.connection import Connection, connected, current_user
from uwfq_service.cli.errors import REFUSED, Failure
from uwfq_service.cli.jobfile import InputFile, input_of, read_job, stage_of
from uwfq_service.cli.jobs import check, job_parts, resumable, watched
from uwfq_service.cli.output import emit, facts, number, output_option, seconds, table
from uwfq_service.cli.ranges import POSITIVE, Number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from uwfq_client import Stage, SubmittedJob

#: Options that a file may be combined with: they name the job, the rest describes it.
_WITH_FILE = frozenset({"user", "pool", "job_id", "request_id", "labels"})


@click.command(
    short_help="Submit a job.",
    epilog="A job file holds the fields of SubmitJobRequest: user, kind, signature, labels, … and "
    "stages, each with stage (its name), after, payload (text or JSON; payload_base64 for other "
    "bytes), and either tasks (a number) or input ({files: […], splittable: true}, or unit_sizes "
    "in place of files). A misspelt name is refused.",
)
@click.argument("more_input", metavar="[FILE]...", nargs=-1)
@click.option("--file", "job_file", metavar="JSON", help="Read the job from a file; - for stdin.")
@click.option("--user", default="", help="Whose job it is.  [default: $UWFQ_USER or your login]")
@click.option(
    "--pool",
    default="",
    envvar="UWFQ_POOL",
    show_envvar=True,
    help="The pool.  [default: default]",
)
@click.option("--kind", default="", help="What to run, for workers to choose by.")
@click.option(
    "--signature",
    default="",
    help="What is run, without its literals: equal ones cost alike per byte.  [default: the kind]",
)
@click.option(
    "--tasks", metavar="N", type=click.IntRange(1, 10_000_000), help="Cut into this many tasks."
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="FILE",
    help="Let the service cut these files; more may follow: --input *.csv.",
)
@click.option("--splittable", is_flag=True, help="With --input: a file may be cut at any byte.")
@click.option("--work", metavar="X", type=POSITIVE, help="Estimated work of the job, slot-seconds.")
@click.option(
    "--task-runtime", metavar="X", type=POSITIVE, help="How long a task should run, seconds."
)
@click.option(
    "--min-tasks", metavar="N", type=click.IntRange(1, 10_000_000), help="Fewest tasks to cut into."
)
@click.option(
    "--max-tasks", metavar="N", type=click.IntRange(1, 2**32 - 1), help="Most tasks to cut into."
)
@click.option(
    "--slots-per-task", metavar="N", type=click.IntRange(1, 1_000_000), help="Slots of each task."
)
@click.option(
    "--max-attempts", metavar="N", type=click.IntRange(1, 100), help="Tries that each task gets."
)
@click.option(
    "--task-timeout", metavar="X", type=POSITIVE, help="Longest that a try may run, seconds."
)
@click.option("--payload", help="Text that every task is given.  [default: the names of --input]")
@click.option("--payload-file", metavar="FILE", help="As --payload, from a file; - for stdin.")
@click.option("--stage", default="run", show_default=True, help="Name of the stage.")
@click.option("--job-id", default="", help="Name of the job; the service finds one otherwise.")
@click.option("--request-id", default="", help="Makes it safe to submit the same job twice.")
@click.option(
    "--job-weight",
    metavar="X",
    type=Number(0.001, 1_000_000),
    help="Weight among the user's other jobs.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    help="A label for the workers; may be repeated.",
)
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit 1 unless it succeeded.")
@connected
@output_option
@click.pass_context
def submit(
    context: click.Context,
    /,
    connection: Connection,
    job_file: str | None,
    wait: bool,
    output: str,
    **options: Any,
) -> None:
    """Submit a job, described by options or by a JSON file.

    \b
      uwfq submit --kind count --tasks 8 --payload hello --wait
      uwfq submit --kind count --splittable --input logs/*.txt
      uwfq submit --file job.json
    """  # noqa: D301 - click wants the backspace itself
    options["labels"] = _labels(options["labels"])
    request = _from_file(job_file, _given(context), options) if job_file else _from_options(options)
    with connection.blocking() as client:
        submitted = client.submit(**request)
    if not wait:
        emit(output, {"submitted": submitted}, *_submitted_parts(submitted))
        return
    with connection.patient() as client, resumable(submitted.job_id):
        job = watched(client, submitted.job_id)
    emit(output, {"submitted": submitted, "job": job}, *job_parts(job))
    check(job)


def _given(context: click.Context) -> set[str]:
    """Names of the options that stood on the command line."""
    return {
        name
        for name in context.params
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise Failure(f"--label {pair}: write it as NAME=VALUE", REFUSED)
        labels[name] = value
    return labels


def _from_file(path: str, given: set[str], options: dict[str, Any]) -> dict[str, Any]:
    """The request of a JSON file; options that name the job win."""
    described = read_job(path)
    connection = {"target", "tls", "ca", "certificate", "key", "server_name", "timeout"}
    excess = given - _WITH_FILE - connection - {"job_file", "wait", "output"}
    if excess:
        name = "FILE" if "more_input" in excess else _flag(min(excess))
        raise Failure(f"{name}: cannot be combined with --file; write it into the file", REFUSED)
    # What the environment says is for jobs that do not say themselves.
    named_pool = options["pool"] if "pool" in given else ""
    return {
        "user": options["user"] or described.user or current_user(),
        "pool": named_pool or described.pool or options["pool"] or None,
        "job_id": options["job_id"] or described.job_id,
        "request_id": options["request_id"] or described.request_id,
        "kind": described.kind,
        "signature": described.signature or described.kind,
        "input_bytes": described.input_bytes,
        "labels": {**described.labels, **options["labels"]},
        "job_weight": described.job_weight,
        "estimated_work_slot_seconds": described.estimated_work_slot_seconds,
        "advisory_task_runtime_seconds": described.advisory_task_runtime_seconds,
        "stages": [stage_of(stage) for stage in described.stages],
    }


def _flag(name: str) -> str:
    return "--" + {"inputs": "input"}.get(name, name).replace("_", "-")


def _from_options(options: dict[str, Any]) -> dict[str, Any]:
    """The request of a job with one stage."""
    return {
        "user": options["user"] or current_user(),
        "pool": options["pool"] or None,
        "job_id": options["job_id"],
        "request_id": options["request_id"],
        "kind": options["kind"],
        "signature": options["signature"] or options["kind"],
        "labels": options["labels"],
        "job_weight": options["job_weight"],
        "estimated_work_slot_seconds": options["work"],
        "advisory_task_runtime_seconds": options["task_runtime"],
        "stages": [_stage(options)],
    }


def _stage(options: dict[str, Any]) -> Stage:
    from uwfq_client import Stage

    files = [*options["inputs"], *options["more_input"]]
    if options["more_input"] and not options["inputs"]:
        raise Failure(
            f"{options['more_input'][0]}: input files go after --input, a job after --file", REFUSED
        )
    if files and options["tasks"]:
        raise Failure(
            "--tasks: cannot be combined with --input, which the service cuts; "
            "--min-tasks and --max-tasks bound the number",
            REFUSED,
        )
    if not files and not options["tasks"] and options["work"] is None:
        raise Failure("what is to be done? give --tasks, --input, --work or --file", REFUSED)
    if options["splittable"] and not files:
        raise Failure("--splittable: says something about --input, which is missing", REFUSED)
    described = InputFile(files=files, splittable=options["splittable"])
    return Stage(
        options["stage"],
        tasks=options["tasks"],
        input=input_of(described, "--input") if files else None,
        payload=_payload(options, files),
        slots_per_task=options["slots_per_task"],
        min_tasks=options["min_tasks"],
        max_tasks=options["max_tasks"],
        max_attempts=options["max_attempts"],
        task_timeout_seconds=options["task_timeout"],
    )


def _payload(options: dict[str, Any], files: Sequence[str]) -> bytes:
    """What every task is given: by default the input files, one a line, as workers find them."""
    text: str | None = options["payload"]
    path: str | None = options["payload_file"]
    if text is not None and path is not None:
        raise Failure("--payload and --payload-file: give one of them", REFUSED)
    if text is not None:
        return text.encode()
    if path is None:
        return "".join(f"{Path(name).absolute()}\n" for name in files).encode()
    try:
        with click.open_file(path, "rb") as file:
            content: bytes = file.read()
    except OSError as error:
        raise Failure(f"--payload-file {path}: {error.strerror}", REFUSED) from error
    return content


def _submitted_parts(submitted: SubmittedJob) -> list[RenderableType]:
    pairs = [
        ("job", submitted.job_id + (" (submitted before)" if submitted.duplicate else "")),
        ("work", f"{number(submitted.estimated_work_slot_seconds)} slot-seconds"),
        ("virtual deadline", number(submitted.virtual_deadline)),
        ("finished in", seconds(submitted.predicted_finish_seconds)),
    ]
    rows = [
        (
            split.stage,
            split.estimate_source.value if split.estimate_source else "-",
            split.reason.value if split.reason else "-",
            str(split.task_count),
            number(split.estimated_work_slot_seconds),
            seconds(split.advisory_task_runtime_seconds),
        )
        for split in submitted.splits
    ]
    columns = ("stage", "estimate from", "cut by", "tasks", "work", "task runtime")
    return [facts(pairs), "", table(columns, rows, left=3)]
