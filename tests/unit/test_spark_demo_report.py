"""The table of the bridge's experiment."""

from spark_bridge.demo import report
from spark_bridge.demo.experiment import Answer, Outcome, Run


def outcome(**makespans: list[float]) -> Outcome:
    """A run of each scheduler and round, with a short query and a long one."""
    return Outcome(
        spark_version="4.3.0",
        slots=2,
        depth=6,
        advisory_task_runtime=1.0,
        runs=tuple(
            Run(
                scheduler=scheduler,
                round=number,
                answers=(
                    Answer(name="ask", kind="short", asked_seconds=1, answered_seconds=2),
                    Answer(name="scan", kind="long", asked_seconds=0, answered_seconds=seconds),
                ),
            )
            for scheduler, rounds in makespans.items()
            for number, seconds in enumerate(rounds)
        ),
    )


def last_cells(table: str) -> dict[str, str]:
    """How far each scheduler is over the best."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {row[0]: row[-1] for row in rows[1:]}


def test_how_far_a_makespan_is_over_the_best_is_told_of_each_round() -> None:
    """Medians side by side, and each round next to the best scheduler's same round."""
    figures = report.document(outcome(fifo=[10, 20, 12], fair=[11, 18, 15]))
    assert figures["schedulers"]["fair"]["makespan_over_best"] == 15 / 12
    assert figures["schedulers"]["fair"]["makespan_over_best_by_round"] == [1.1, 0.9, 1.25]
    assert last_cells(report.table(figures)) == {
        "stock FIFO": "+0.0%",
        "stock FAIR, a pool per user": "+25.0% [-10.0%, +25.0%]",
    }


def test_one_round_has_no_range() -> None:
    """It would say nothing."""
    figures = report.document(outcome(fifo=[10], fair=[11]))
    assert last_cells(report.table(figures))["stock FAIR, a pool per user"] == "+10.0%"
