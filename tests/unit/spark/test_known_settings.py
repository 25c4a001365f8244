"""The settings that Python knows are those that the plugin reads."""

import re
from pathlib import Path

from uwfq_spark.known_settings import LOCAL, SETTINGS

JVM = Path(__file__).resolve().parents[3] / "spark_bridge" / "jvm"
SETTINGS_JAVA = JVM / "conversation/src/main/java/io/uwfq/spark/conversation/Settings.java"
PARTITIONING_JAVA = JVM / "plugin/src/main/java/io/uwfq/spark/PartitioningSettings.java"


def test_names_and_defaults_are_those_of_the_plugin() -> None:
    """``Settings.KEYS``: a name, and what holds when it is not set."""
    keys = re.findall(
        r'new Key\(\s*"([\w.]+)",\s*(null|"[^"]*"),', SETTINGS_JAVA.read_text(encoding="utf-8")
    )
    assert len(keys) > 5
    theirs = {name: None if unset == "null" else unset.strip('"') for name, unset in keys}
    ours = {
        name: default for name, default in SETTINGS.items() if not name.startswith("partitioning.")
    }
    assert {name: unset for name, unset in theirs.items() if name not in LOCAL} == ours
    assert theirs.keys() >= LOCAL.keys()


def test_names_of_partitioning_are_those_of_the_plugin() -> None:
    """Each is a constant, ``PREFIX + "name"``."""
    names = re.findall(r'PREFIX \+ "(\w+)"', PARTITIONING_JAVA.read_text(encoding="utf-8"))
    ours = {name for name in SETTINGS if name.startswith("partitioning.")}
    assert {f"partitioning.{name}" for name in names} == ours


def test_every_setting_is_in_the_readme() -> None:
    """With its default, in the table of settings."""
    readme = (JVM.parent / "README.md").read_text(encoding="utf-8")
    for name, default in {**SETTINGS, **LOCAL}.items():
        row = re.search(rf"(?m)^\| `spark\.uwfq\.{re.escape(name)}` \|(.*)\|$", readme)
        assert row, f"{name} is not in spark_bridge/README.md"
        if default:
            assert f"`{default}`" in row[1], f"{name}: its default is {default}"
