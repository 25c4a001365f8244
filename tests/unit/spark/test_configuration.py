"""What ``configure`` puts into a session's configuration, and what it refuses."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from tests.unit.spark.installations import built, spark_home
from uwfq_spark import configure, settings
from uwfq_spark.configuration import EXTENSIONS, PLUGIN

TARGET = "scheduler:7170"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Spark whose configuration nobody has touched."""
    for name in (
        *("SPARK_CONF_DIR", "SPARK_REMOTE", "SPARK_API_MODE"),
        *("PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS"),
    ):
        monkeypatch.delenv(name, raising=False)
    built(tmp_path / "built", monkeypatch)
    directory = spark_home(tmp_path / "spark", "2.13-4.3.0")
    monkeypatch.setenv("SPARK_HOME", str(directory))
    return directory


@pytest.fixture
def jar(tmp_path: Path) -> str:
    """The jar that fits it."""
    return str(tmp_path / "built" / "uwfq-spark-4_2.13-0.1.0.jar")


def options(builder: SparkSession.Builder) -> dict[str, str]:
    """What has been set."""
    return dict(builder._options)


def test_three_settings_and_a_jar(jar: str) -> None:
    """All that an application needs, and nothing else."""
    builder = SparkSession.builder
    assert configure(builder, target=TARGET) is builder
    assert options(builder) == {
        "spark.plugins": PLUGIN,
        "spark.sql.extensions": EXTENSIONS,
        "spark.jars": jar,
        "spark.uwfq.target": TARGET,
    }
    assert settings(target=TARGET) == options(builder)


def test_what_is_there_already_stays(jar: str) -> None:
    """Other plugins, extensions and jars come first; ours are there once, however often."""
    builder = (
        SparkSession.builder.config("spark.plugins", "org.acme.Plugin")
        .config("spark.sql.extensions", "org.acme.One,org.acme.Two")
        .config("spark.jars", "/opt/acme.jar")
        .config("spark.app.name", "shared")
    )
    configure(configure(builder, target="elsewhere:1"), target=TARGET)
    assert options(builder) == {
        "spark.plugins": f"org.acme.Plugin,{PLUGIN}",
        "spark.sql.extensions": f"org.acme.One,org.acme.Two,{EXTENSIONS}",
        "spark.jars": f"/opt/acme.jar,{jar}",
        "spark.app.name": "shared",
        "spark.uwfq.target": TARGET,
    }


@pytest.mark.parametrize("separator", [" ", "=", "\t", ": ", " = "])
def test_what_the_defaults_file_lists_stays(separator: str, home: Path, jar: str) -> None:
    """A value of the builder replaces the file's, so it has to repeat it."""
    (home / "conf").mkdir()
    (home / "conf" / "spark-defaults.conf").write_text(
        f"# Of the platform team.\n\nspark.plugins{separator}org.acme.Plugin  \n"
        f"spark.jars{separator}/opt/a.jar, /opt/b.jar\nspark.executor.cores{separator}4\n"
    )
    builder = configure(SparkSession.builder, target=TARGET)
    assert options(builder)["spark.plugins"] == f"org.acme.Plugin,{PLUGIN}"
    assert options(builder)["spark.jars"] == f"/opt/a.jar,/opt/b.jar,{jar}"
    assert "spark.executor.cores" not in options(builder)


def test_the_defaults_file_is_one_of_javas(home: Path, jar: str) -> None:
    """A list may go on in the next line, a comment does not, and a backslash hides what follows."""
    (home / "conf").mkdir()
    (home / "conf" / "spark-defaults.conf").write_bytes(
        b"! spark.plugins org.acme.Off\r\n"
        b"# a comment \\\r\n"
        b"spark.jars  /opt/a.jar,\\\r\n"
        b"   \t/opt/b.jar, \\\r\n"
        b"   # /opt/c.jar\r\n"
        b"  spark\\.plugins\\u0020 = org.acme.Odd\r\n"
        b"spark.plugins : org.acme.\\u0050lugin\\\\\r\n"
        b"spark.sql.extensions\\\n=org.acme.A\\"
    )
    found = options(configure(SparkSession.builder, target=TARGET))
    assert found["spark.jars"] == f"/opt/a.jar,/opt/b.jar,# /opt/c.jar,{jar}"
    assert found["spark.plugins"] == f"org.acme.Plugin\\,{PLUGIN}"
    assert found["spark.sql.extensions"] == f"org.acme.A,{EXTENSIONS}"


def test_the_defaults_file_may_lie_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where SPARK_CONF_DIR says."""
    (tmp_path / "spark-defaults.conf").write_text("spark.plugins org.acme.Plugin\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    builder = configure(SparkSession.builder, target=TARGET)
    assert options(builder)["spark.plugins"] == f"org.acme.Plugin,{PLUGIN}"


def test_the_defaults_file_may_be_in_another_encoding(home: Path) -> None:
    """Spark reads it all the same: what is no UTF-8 may be a comment."""
    (home / "conf").mkdir()
    (home / "conf" / "spark-defaults.conf").write_bytes(
        "# Für alle.\nspark.plugins org.acme.Plugin\n".encode("latin-1")
    )
    builder = configure(SparkSession.builder, target=TARGET)
    assert options(builder)["spark.plugins"] == f"org.acme.Plugin,{PLUGIN}"


def test_what_the_arguments_for_spark_submit_list_stays(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel of a notebook has them from its environment; they win over the defaults file."""
    (home / "conf").mkdir()
    (home / "conf" / "spark-defaults.conf").write_text("spark.plugins org.acme.Default\n")
    monkeypatch.setenv(
        "PYSPARK_SUBMIT_ARGS",
        "--master local --conf spark.plugins=org.acme.Plugin --conf=spark.ui.enabled=false "
        "-c 'spark.sql.extensions=org.acme.A, org.acme.B' pyspark-shell",
    )
    builder = configure(SparkSession.builder, target=TARGET)
    assert options(builder)["spark.plugins"] == f"org.acme.Plugin,{PLUGIN}"
    assert options(builder)["spark.sql.extensions"] == f"org.acme.A,org.acme.B,{EXTENSIONS}"
    assert "spark.ui.enabled" not in options(builder)


def test_a_properties_file_of_spark_submit_takes_the_place_of_the_defaults(
    home: Path, jar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless both are asked for, as later releases of Spark 4 can be."""
    (home / "conf").mkdir()
    (home / "conf" / "spark-defaults.conf").write_text("spark.plugins org.acme.Default\n")
    named = tmp_path / "night.conf"
    named.write_text("spark.jars /opt/a.jar\nspark.sql.extensions org.acme.A\n")
    for more, plugins in (("", PLUGIN), ("--load-spark-defaults", f"org.acme.Default,{PLUGIN}")):
        arguments = f"--properties-file {named} {more} --conf spark.sql.extensions=org.acme.B"
        monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", f"{arguments} pyspark-shell")
        found = options(configure(SparkSession.builder, target=TARGET))
        assert found["spark.plugins"] == plugins
        assert found["spark.jars"] == f"/opt/a.jar,{jar}"
        assert found["spark.sql.extensions"] == f"org.acme.B,{EXTENSIONS}"


@pytest.mark.parametrize("option", ["--jars", "--conf spark.jars="])
def test_jars_in_the_arguments_for_spark_submit_must_name_ours(
    option: str, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take the place of the builder's when the JVM starts, which then lacks the plugin."""
    option = option.replace("--jars", "--jars ")
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", f"{option}/opt/acme.jar pyspark-shell")
    with pytest.raises(RuntimeError, match=f"PYSPARK_SUBMIT_ARGS.*{jar}"):
        configure(SparkSession.builder, target=TARGET)
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", f"{option}/opt/acme.jar,file://{jar} pyspark-shell")
    builder = configure(SparkSession.builder, target=TARGET)
    assert options(builder)["spark.jars"] == f"/opt/acme.jar,file://{jar}"


def test_a_spark_conf_can_be_configured_as_well(jar: str) -> None:
    """For those who make their context themselves."""
    conf = SparkConf(loadDefaults=False).set("spark.plugins", "org.acme.Plugin")
    assert configure(conf, target=TARGET) is conf
    assert conf.get("spark.plugins") == f"org.acme.Plugin,{PLUGIN}"
    assert conf.get("spark.jars") == jar


def test_options_have_the_names_of_the_settings() -> None:
    """In Python's spelling, with Python's values."""
    builder = configure(
        SparkSession.builder,
        target=TARGET,
        default_user="nobody",
        partitioning_enabled=False,
        partitioning_max_tasks=500,
    )
    assert options(builder)["spark.uwfq.defaultUser"] == "nobody"
    assert options(builder)["spark.uwfq.partitioning.enabled"] == "false"
    assert options(builder)["spark.uwfq.partitioning.maxTasks"] == "500"


@pytest.mark.parametrize(
    "target",
    ["", "scheduler", "scheduler:0", "scheduler:99999", "unix:/run/uwfq", "a b:1", "::1:1"],
)
def test_what_is_no_target_for_the_plugin_is_refused(target: str) -> None:
    """Other clients take more; the application would not start."""
    with pytest.raises(ValueError, match="host:port"):
        settings(target=target)
    assert settings(target="[::1]:7170 ")["spark.uwfq.target"] == "[::1]:7170"


def test_what_belongs_to_a_thread_is_no_setting_of_the_application() -> None:
    """Else all jobs would be one user's."""
    with pytest.raises(TypeError, match=r"with uwfq_spark\.user"):
        settings(target=TARGET, user="alice")


@pytest.mark.parametrize("name", ["defaultuser", "gate_", "partitioning.enabled"])
def test_an_unknown_option_is_refused_by_its_name(name: str) -> None:
    """Spark itself would take any key, and nobody would notice that it does nothing."""
    builder = SparkSession.builder
    with pytest.raises(TypeError, match=f"unknown setting '{name}'.*default_user"):
        configure(builder, target=TARGET, pyspark=None, **{name: 1})
    assert options(builder) == {}


def test_a_client_of_a_connect_server_is_sent_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings cannot load a plugin into a server that runs already."""
    builder = SparkSession.builder.remote("sc://spark:15002")
    with pytest.raises(RuntimeError, match="sc://spark:15002"):
        configure(builder, target=TARGET)
    monkeypatch.setenv("SPARK_REMOTE", "sc://other:15002")
    with pytest.raises(RuntimeError, match="sc://other:15002"):
        configure(SparkSession.builder, target=TARGET)


def test_a_connect_server_of_pysparks_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has plugins of PySpark's choice, and would run without the bridge, silently."""
    builder = SparkSession.builder.config("spark.api.mode", "Connect")
    with pytest.raises(RuntimeError, match=r"spark\.api\.mode"):
        configure(builder, target=TARGET)
    monkeypatch.setenv("SPARK_API_MODE", "connect")
    with pytest.raises(RuntimeError, match=r"spark\.api\.mode"):
        configure(SparkConf(loadDefaults=False), target=TARGET)
    # What the builder says counts.
    configure(SparkSession.builder.config("spark.api.mode", "classic"), target=TARGET)


def test_a_running_application_is_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plugins are loaded when a context starts; getOrCreate() would return the one that runs."""
    running = SimpleNamespace(getConf=lambda: {"spark.plugins": "org.acme.Plugin"})
    monkeypatch.setattr(SparkContext, "_active_spark_context", running)
    with pytest.raises(RuntimeError, match=r"spark\.stop\(\)"):
        configure(SparkSession.builder, target=TARGET)


def test_an_application_that_runs_with_the_bridge_is_as_it_should_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cell of a notebook can be run again; settings that were changed there come too late."""
    conf = {**settings(target=TARGET, gate="leases"), "spark.jars": "/opt/uwfq-spark.jar"}
    conf["spark.plugins"] = f"org.acme.Plugin, {PLUGIN}"
    running = SimpleNamespace(getConf=lambda: conf)
    monkeypatch.setattr(SparkContext, "_active_spark_context", running)
    builder = SparkSession.builder.config("spark.app.name", "again")
    assert configure(builder, target=TARGET, gate="leases") is builder
    assert options(builder) == {"spark.app.name": "again"}
    for changed in ({"target": "elsewhere:1"}, {"target": TARGET, "gate": "none"}):
        with pytest.raises(RuntimeError, match="other settings"):
            configure(builder, **changed)


def test_spark_submit_without_the_jar_is_told_what_to_add(
    jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its JVM has started before the script; ``spark.jars`` comes too late for it."""

    class Missing:
        def loadClass(self, name: str) -> None:  # noqa: N802 - Java's.
            raise LookupError(name)

    thread = SimpleNamespace(getContextClassLoader=Missing)
    lang = SimpleNamespace(Thread=SimpleNamespace(currentThread=lambda: thread))
    submitted = {"spark.plugins": "org.acme.Plugin", "spark.jars": f"/opt/acme.jar,file://{jar}"}
    lang.System = SimpleNamespace(getProperty=submitted.get)
    jvm = SimpleNamespace(java=SimpleNamespace(lang=lang))
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    monkeypatch.setattr(SparkContext, "_gateway", SimpleNamespace(jvm=jvm))
    monkeypatch.setattr(SparkContext, "_jvm", jvm)
    with pytest.raises(RuntimeError, match=f"--jars {jar}"):
        configure(SparkSession.builder, target=TARGET)
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT")
    with pytest.raises(RuntimeError, match="restart the kernel"):
        configure(SparkSession.builder, target=TARGET)
    thread.getContextClassLoader = lambda: SimpleNamespace(loadClass=str)
    builder = configure(SparkSession.builder, target=TARGET)
    # What its command line lists stays: in executors, too, the jars do.
    assert options(builder)["spark.plugins"] == f"org.acme.Plugin,{PLUGIN}"
    assert options(builder)["spark.jars"] == f"/opt/acme.jar,file://{jar}"
