"""Configuration: who wins, what is refused and how it is said."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.certificates import make_certificates
from uwfq_service.core.commands import ConfigurePool, SetUser
from uwfq_service.server.config import Config, ConfigError, load
from uwfq_service.server.config_keys import KEYS, POOL_KEYS, SECTIONS, USER_KEYS, Key


def problems(*args: object, **kwargs: object) -> list[str]:
    """What is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        load(*args, **kwargs)  # type: ignore[arg-type]
    return caught.value.problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that sets a bit of everything."""
    path = tmp_path / "uwfq.toml"
    path.write_text(
        """
        listen = "127.0.0.1:1111"
        data = "from-file"

        [log]
        level = "warning"

        [scheduling]
        lease_seconds = 7

        [limits]
        max_batch = 5000

        [pools.web]

        [pools.batch]
        policy = "fair"
        slots = 16

        [pools.batch.users.alice]
        weight = 2.5
        max_running_slots = 4
        """,
        encoding="utf-8",
    )
    return path


# -- the table ------------------------------------------------------------------------------------


def test_the_table_names_every_setting_and_no_other() -> None:
    """What a record can hold can be set, and what is documented exists."""
    held = {
        f"{section}.{field.name}"
        for section, record in SECTIONS.items()
        for field in msgspec.structs.fields(record)
        if not (isinstance(field.default, msgspec.Struct))
    }
    assert {key.name for key in KEYS} == held | {"listen", "data"}
    assert [key.name for key in POOL_KEYS] == ["policy", "slots", "advisory_task_runtime"]
    assert {key.name for key in USER_KEYS} == set(SetUser.__struct_fields__) - {"pool", "user"}


def test_defaults_of_the_table_are_those_that_apply() -> None:
    """What the help says is what happens, and the defaults pass their own checks."""
    config = load()
    for key in KEYS:
        value: object = config
        for name in key.name.split("."):
            value = getattr(value, name)
        assert value == key.default, key.name
        assert key.type is str or not key.refuses(value), key.name  # type: ignore[arg-type]
        assert key.help.endswith("."), key.name


def test_variables_and_options_are_named_after_the_key() -> None:
    """One name, in three spellings."""
    key = next(key for key in KEYS if key.name == "tls.client_ca")
    assert (key.env, key.flag) == ("UWFQ_TLS_CLIENT_CA", "--tls-client-ca")
    assert len({key.env for key in KEYS}) == len(KEYS)


# -- who wins -------------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    """Each source alone decides what the stronger ones leave out."""
    environ = {"UWFQ_LISTEN": "127.0.0.1:2222", "UWFQ_LOG_LEVEL": "error"}
    config = load({"log.level": "debug"}, environ=environ, file=file)
    assert config.log.level == "debug"
    assert config.listen == "127.0.0.1:2222"
    assert config.data == "from-file"
    assert config.scheduling.lease_seconds == 7
    assert config.scheduling.limits == config.limits
    assert config.limits.max_batch == 5000


def test_the_environment_can_name_the_file(file: Path) -> None:
    """And the command line another one."""
    assert load(environ={"UWFQ_CONFIG": str(file)}).data == "from-file"
    assert problems(environ={"UWFQ_CONFIG": str(file)}, file=file.with_name("other"))


def test_text_is_read_as_a_number_where_one_is_expected() -> None:
    """The environment and the command line know nothing else."""
    config = load({"limits.max_batch": "6000"}, environ={"UWFQ_SCHEDULING_RETRY_BACKOFF": "0.25"})
    assert config.limits.max_batch == 6000
    assert config.scheduling.retry_backoff == 0.25


def test_pools_and_their_users_become_commands(file: Path) -> None:
    """In the order of their names; a pool without settings is a pool."""
    batch, web = load(file=file).pools
    assert batch.configure == ConfigurePool(pool="batch", policy="fair", fixed_slots=16)
    assert batch.users == (SetUser(pool="batch", user="alice", weight=2.5, max_running_slots=4),)
    assert web.configure == ConfigurePool(pool="web")


def test_without_pools_there_is_a_default_one() -> None:
    """So that a service without any configuration serves."""
    (pool,) = load().pools
    assert pool.configure == ConfigurePool(pool="default", policy="uwfq")


def test_a_user_whose_name_has_a_dot_goes_into_quotes() -> None:
    """As in TOML."""
    (pool,) = load({'pools.default.users."a.b".weight': "3"}).pools
    assert pool.users == (SetUser(pool="default", user="a.b", weight=3.0),)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("pools.a.users.b.max_waiting_jobs", "6", "is 6; it must be 0 to 5"),
        ("pools.much-too-long", {}, "is longer than 8 bytes; shorten it"),
    ],
)
def test_what_the_core_would_refuse_is_refused_with_its_key(
    key: str, value: object, expected: str
) -> None:
    """Before anything is started; the limits may be settings themselves."""
    limits = {"limits.max_jobs_per_pool": "5", "limits.max_id_bytes": "8"}
    assert problems({**limits, key: value}) == [f"{key}: {expected}"]


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("log.levl", "debug", "log.levl: no such setting (command line); did you mean log.level?"),
        ("pools.a.users.b.max_running_slots", 2_000_000, "of at least 0, at most 1,000,000, not"),
        (
            "pools.a.polcy",
            "x",
            "pools.a.polcy: no such setting (command line); did you mean policy?",
        ),
        ("limits.max_batch", "many", "must be a whole number of at least 5,000, at most 1,000,000"),
        # A stage's number is kept in 16 bits.
        (
            "limits.max_stages_per_job",
            65_536,
            "must be a whole number of at least 1, at most 65,535",
        ),
        ("limits.max_batch", 5000.5, "must be a whole number"),
        ("limits.max_batch", True, "must be a whole number"),
        ("limits.max_batch", 4999, "not 4999"),
        ("scheduling.lease_seconds", 0, "must be a number above 0"),
        ("scheduling.lease_seconds", "nan", "must be a number above 0"),
        ("scheduling.lease_seconds", "inf", "must be a number above 0"),
        ("limits.max_batch", "1" * 400, "must be a whole number"),
        ("limits.max_batch", 10**400, "must be a whole number"),
        ("log.format", "xml", "must be one of auto, console, json"),
        ("pools.a.policy", "lottery", "must be one of"),
        ("pools.a.users.b.weight", -1, "pools.a.users.b.weight: must be a number"),
        # As they are to be written: a dot in a name is no dot between names.
        ('pools.a.users."b.c".weight', -1, 'pools.a.users."b.c".weight: must be a number'),
        ('"log.level"', "debug", '"log.level": no such setting (command line); did you mean log'),
        ("listen", "7170", "listen: must be host:port"),
        ("listen", "::1:7170", "put the IPv6 address into brackets"),
        ("listen", "host:99999", "listen: must be host:port"),
        ("listen", "host:" + "1" * 5000, "listen: must be host:port"),
        ("listen", "unix:/" + "x" * 107, "listen: the path of a socket has at most 107 bytes"),
        ("metrics.listen", "unix:/x", "metrics.listen: must be host:port"),
        ("data", "", "data: must name a directory"),
        ("data", __file__, "is not a directory"),
        ("tls.cert", __file__, "tls.key: must be given too"),
        ("tls.client_ca", __file__, "tls.cert: must be given too"),
        ("tls.key", "/no/such/file", "tls.key: no such file"),
        ("log level", "x", "log level: not a key"),
        (".".join("a" * 2000), "x", "a: not a key"),
        ("log", "x", "log: no such setting"),
        ("pools", "batch", "pools: must be tables, as in [pools.default], not 'batch'"),
        # Of a directory that may not be searched the same is said.
        ("data", "d" * 300, "cannot be reached: File name too long"),
        ("data", "\0", "data: must name a directory"),
        ("tls.cert", "c" * 300, "tls.cert: cannot reach"),
        ("tls.client_ca", "c" * 300, "tls.client_ca: cannot reach"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(key: str, value: object, expected: str) -> None:
    """Nobody should have to guess which of fifty settings it was."""
    found = problems({key: value})
    assert any(expected in problem for problem in found), found


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("files", "faulty"),
    [
        ({}, []),
        ({"key": "client.key"}, ["tls.cert, tls.key"]),
        ({"cert": "server.key", "key": "server.pem"}, ["tls.cert, tls.key"]),
        ({"key": "locked.key"}, ["tls.cert, tls.key"]),
        ({"client_ca": "ca.key"}, ["tls.client_ca"]),
    ],
)
def test_certificates_that_cannot_be_served_with_are_named(
    files: dict[str, str], faulty: list[str], tmp_path: Path
) -> None:
    """All that gRPC says is that it cannot listen; an encrypted key makes nobody wait."""
    keys = make_certificates(tmp_path)
    encrypt = ["openssl", "ec", "-in", "server.key", "-aes128", "-passout", "pass:x"]
    subprocess.run([*encrypt, "-out", "locked.key"], cwd=keys, check=True, capture_output=True)
    given = {"cert": "server.pem", "key": "server.key", "client_ca": "ca.pem"} | files
    settings = {f"tls.{name}": str(keys / file) for name, file in given.items()}
    found = problems(settings) if faulty else list(load(settings).warnings)
    assert [problem.partition(": ")[0] for problem in found] == faulty


def test_all_problems_are_told_at_once(file: Path) -> None:
    """With the place where each stands."""
    file.write_text('listen = 5\n[limits]\nmax_batch = "x"', encoding="utf-8")
    found = problems({"log.level": "loud"}, environ={"UWFQ_LOG_FORMAT": "x"}, file=file)
    assert len(found) == 4
    assert any("UWFQ_LOG_FORMAT" in problem for problem in found)
    assert any(str(file) in problem for problem in found)


@pytest.mark.parametrize(
    "text",
    ["[log", "limits.max_batch = " + "1" * 5000, "x = " + "[" * 5000, ".".join("a" * 2000) + "=1"],
)
def test_a_file_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    """Missing, or not TOML, or more than a reader takes."""
    assert "none.toml" in problems(file=tmp_path / "none.toml")[0]
    broken = tmp_path / "broken.toml"
    broken.write_text(text, encoding="utf-8")
    assert "cannot be read as TOML" in problems(file=broken)[0]


def test_a_file_may_begin_with_a_byte_order_mark(file: Path) -> None:
    """Some editors write one, and show none."""
    file.write_text('listen = "127.0.0.1:1"\r\n[log]\r\nlevel = "debug"\r\n', encoding="utf-8-sig")
    config = load(file=file)
    assert (config.listen, config.log.level) == ("127.0.0.1:1", "debug")


def test_pools_in_brackets_of_two_are_refused(file: Path) -> None:
    """TOML makes a list of these; the service would run with a pool ``default`` alone."""
    file.write_text('[[pools]]\nname = "batch"\npolicy = "fifo"', encoding="utf-8")
    (found,) = problems(file=file)
    assert found.startswith("pools: must be tables, as in [pools.default]")


def test_more_users_than_a_pool_may_have_are_refused() -> None:
    """The service would refuse to start with them."""
    users = {f"pools.batch.users.{name}.weight": 2 for name in ("alice", "bob")}
    (found,) = problems({"limits.max_users_per_pool": 1, **users})
    assert found == "pools.batch.users: names 2 users, but limits.max_users_per_pool is 1"
    load({"limits.max_users_per_pool": 2, **users})


def test_foreign_variables_are_let_be_and_likely_typos_are_warned_of() -> None:
    """A cluster manager sets UWFQ_SERVICE_HOST by itself; that must not stop the service."""
    config = load(environ={"UWFQ_SERVICE_HOST": "10.0.0.1", "UWFQ_TARGET": "x", "HOME": "/"})
    assert config.warnings == ()
    config = load(environ={"UWFQ_LOG_LEVLE": "debug"})
    assert config.warnings == ("UWFQ_LOG_LEVLE is not a setting; did you mean UWFQ_LOG_LEVEL?",)


def test_a_variable_for_a_pool_is_warned_of() -> None:
    """A container's other settings are variables, and this one would do nothing without a word."""
    config = load(environ={"UWFQ_POOLS_DEFAULT_POLICY": "fair"})
    (warning,) = config.warnings
    assert warning.startswith("UWFQ_POOLS_DEFAULT_POLICY is not a setting; pools")


def test_a_port_beyond_loopback_without_tls_is_warned_of() -> None:
    """It is allowed, for a container's port is published by others."""
    assert "without TLS" in load({"listen": "0.0.0.0:7170"}).warnings[0]
    for near in ("127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/x"):
        assert load({"listen": near}).warnings == ()


def test_memory_is_no_directory() -> None:
    """``:memory:`` keeps nothing."""
    assert load({"data": ":memory:"}).in_memory
    assert not Config().in_memory


def test_a_range_reads_as_people_write_it() -> None:
    """In messages and in the help."""
    key = Key("x", "X.", float, 1.0, low=0, high=1e6)
    assert key.expects == "a number of at least 0, at most 1,000,000"
    assert Key("x", "X.", float, 1.0, above=0.001).expects == "a number above 0.001"
