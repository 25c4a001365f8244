"""What is wrong with the options of the bridge's experiment is told in one line, and at once."""

from pathlib import Path

import pytest
from spark_bridge.demo import dataset, slot_time
from spark_bridge.demo.__main__ import main

import uwfq_spark
from uwfq_service.cli.app import run


@pytest.mark.parametrize("option", ["--event-logs", "--results"])
def test_a_directory_that_cannot_be_made_is_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two minutes later it would be too late."""
    file = tmp_path / "file"
    file.touch()
    assert run(main, "demo", [option, str(file / "below")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert option in line
    assert "Not a directory" in line


def test_logs_of_other_rounds_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever divides their time would take them for one experiment."""
    (tmp_path / "stock-0").mkdir()
    assert run(main, "demo", ["--event-logs", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path} is not empty" in line


def test_a_missing_jar_is_told_before_stock_spark_has_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a checkout without Maven, say."""

    def without_jar(_: Path) -> str:
        raise uwfq_spark.JarNotFound("run `make jars`")

    monkeypatch.setattr(dataset, "prepare", lambda *_: {})
    monkeypatch.setattr(uwfq_spark, "jar_path", without_jar)
    assert run(main, "demo", []) == 1
    assert capsys.readouterr().err.splitlines() == ["error: run `make jars`"]


def test_a_directory_without_logs_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of `slot_time`, which takes what the experiment has kept."""
    assert run(slot_time.main, "slot_time", [str(tmp_path)]) != 0
    assert len(capsys.readouterr().err.splitlines()) == 1
