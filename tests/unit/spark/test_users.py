"""What ``user`` refuses, and what it does where there are no threads of Spark: in Connect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from py4j.clientserver import ClientServer
from py4j.protocol import Py4JNetworkError
from pyspark import SparkContext

from uwfq_spark import current_user, user, users
from uwfq_spark.standing import Whereabouts


class FakeConf:
    """The configuration of a Connect session."""

    def __init__(self, **values: str) -> None:
        self.values = {name.replace("__", "."): value for name, value in values.items()}

    def get(self, key: str, default: str | None) -> str | None:
        return self.values.get(key, default)

    def set(self, key: str, value: str) -> None:
        self.values[key] = value

    def unset(self, key: str) -> None:
        self.values.pop(key, None)


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch) -> FakeConf:
    """The configuration of a session that alice has opened."""
    made = FakeConf(spark__uwfq__target="scheduler:7170", spark__app__id="app-1")
    session = SimpleNamespace(client=SimpleNamespace(_user_id="alice"), conf=made)
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)
    monkeypatch.setattr(users, "_connect_session", lambda: session)
    return made


@pytest.mark.parametrize(
    ("name", "weight", "message"),
    [
        ("", None, "user: the name is empty"),
        (" \u3000\t", None, "user: the name is empty"),
        ("al\ud800ice", None, r"user: 'al\\ud800ice' has half of a surrogate pair"),
        ("alice", 0, "weight: 0 is not a number from 0.001 to 1000000"),
        ("alice", 0.0001, "weight: 0.0001"),
        ("alice", 1_000_001, "weight: 1000001"),
        ("alice", -1.5, "weight: -1.5"),
        ("alice", float("nan"), "weight: nan"),
        ("alice", float("inf"), "weight: inf"),
    ],
)
def test_what_is_no_user_and_no_weight_is_refused(
    name: str, weight: float | None, message: str
) -> None:
    """Before Spark is asked for anything."""
    with pytest.raises(ValueError, match=message), user(name, weight=weight):
        pass


@pytest.mark.parametrize("name", [None, 5, b"alice", ["alice"]])
def test_a_name_is_text(name: Any) -> None:
    """A number of an account is not, until it is spelled."""
    with pytest.raises(TypeError, match=r"user: .* is no text"):
        user(name)


def test_an_application_may_end_within_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody left to be put back, and what went wrong in the block is what is told."""
    properties: dict[str, str | None] = {}
    context = SimpleNamespace(
        _gateway=ClientServer.__new__(ClientServer),
        _jsc=SimpleNamespace(setLocalProperty=properties.__setitem__),
        getLocalProperty=properties.get,
    )
    monkeypatch.setattr(SparkContext, "_active_spark_context", context)

    def stop_and_fail() -> None:
        assert properties["uwfq.user"] == "alice"
        context._jsc = None  # As ``SparkContext.stop`` leaves it.
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"), user("alice"):
        stop_and_fail()


@pytest.mark.parametrize("error", [ConnectionRefusedError(), Py4JNetworkError()])
def test_the_driver_may_die_within_the_block(
    classic: Classic, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Who has dealt with that in the block is not told again at its end."""

    def gone(*_: object) -> None:
        raise error

    with user("alice"):
        monkeypatch.setattr(classic, "setLocalProperty", gone)
    assert current_user() == "alice"  # Nobody could put it back.

    # It is the end alone that does not matter.
    with pytest.raises(type(error)), user("bob"):
        pytest.fail("it was not said whose this is")


@pytest.fixture
def classic(monkeypatch: pytest.MonkeyPatch) -> Classic:
    """A driver, whose session the test can set."""
    made = Classic()
    monkeypatch.setattr(SparkContext, "_active_spark_context", made)
    monkeypatch.setattr(users, "_classic_session", lambda: SimpleNamespace(conf=made.session))
    return made


class Classic:
    """A context, as far as ``user`` and ``current_user`` need one, and the session's settings."""

    def __init__(self) -> None:
        self._gateway = ClientServer.__new__(ClientServer)
        self._jsc = self
        self.properties: dict[str, str | None] = {}
        self.configured = FakeConf(spark__app__id="app-1", spark__uwfq__target="scheduler:7170")
        self.session = FakeConf(**self.configured.values)

    def getLocalProperty(self, key: str) -> str | None:  # noqa: N802 - Spark's name.
        return self.properties.get(key)

    def setLocalProperty(self, key: str, value: str | None) -> None:  # noqa: N802 - Spark's name.
        self.properties[key] = value

    def getConf(self) -> FakeConf:  # noqa: N802 - Spark's name.
        return self.configured


def test_the_nearest_names_the_user(classic: Classic) -> None:
    """As the plugin has it: the block, the session, the local property, the configuration."""
    assert (current_user(), Whereabouts.of_session().user) == (None, "default")
    classic.configured.set("spark.uwfq.user", "configured")
    assert current_user() == "configured"
    classic.setLocalProperty("spark.uwfq.user", "property")
    assert current_user() == "property"
    classic.session.set("spark.uwfq.user", "session")
    assert current_user() == "session"
    with user("block"):
        assert (current_user(), Whereabouts.of_session().user) == ("block", "block")
        classic.session.set("spark.uwfq.userSources", "thrift, connect")
        assert (current_user(), Whereabouts.of_session().user) == (None, "default")


@pytest.mark.filterwarnings("error")
def test_blocks_that_end_in_another_order_leave_nothing_behind(classic: Classic) -> None:
    """As those of coroutines do, against the advice: they are warned, and nobody stays."""
    classic.setLocalProperty("uwfq.user", "before")

    async def ask(name: str, seconds: float) -> None:
        with user(name):
            await asyncio.sleep(seconds)

    async def both() -> None:
        await asyncio.gather(ask("ann", 0.0), ask("bob", 0.01))

    with pytest.warns(RuntimeWarning, match=r"the block of user\('ann'\) ends within that of"):
        asyncio.run(both())
    assert current_user() == "before"


def test_what_runs_later_is_not_decorated() -> None:
    """The block would be over before the first job."""
    with pytest.raises(TypeError, match="coroutine or a generator"):

        @user("alice")
        def rows() -> Iterator[int]:
            yield 1

    with pytest.raises(TypeError, match="coroutine or a generator"):

        @user("alice")
        async def count() -> None: ...


def test_a_decorated_function_may_call_itself(classic: Classic) -> None:
    """Each call is a block of its own, and they nest."""

    @user("alice", weight=2)
    def depth(levels: int) -> int:
        assert classic.getLocalProperty("uwfq.weight") == "2"
        return 1 + depth(levels - 1) if levels else 0

    assert depth(3) == 3
    assert current_user() is None


def test_without_a_session_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting nothing would leave the jobs to the default user."""
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)
    monkeypatch.setattr(users, "_connect_session", lambda: None)
    assert current_user() is None
    with pytest.raises(RuntimeError, match="no Spark session is active"), user("alice"):
        pass


def test_threads_that_are_not_pinned_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of them says would hold for the others."""
    unpinned = SimpleNamespace(_gateway=object())
    monkeypatch.setattr(SparkContext, "_active_spark_context", unpinned)
    with pytest.raises(RuntimeError, match="PYSPARK_PIN_THREAD"), user("alice"):
        pass


def test_a_connect_session_is_whose_connection_it_is(conf: FakeConf) -> None:
    """The server trusts the connection, so the error says how to connect as somebody else."""
    assert current_user() == "alice"
    with pytest.raises(RuntimeError, match=r"user_id=bob"), user("bob"):
        pass
    assert "spark.uwfq.user" not in conf.values


def test_a_connect_server_may_ask_its_sources_in_another_order(conf: FakeConf) -> None:
    """``standings`` asks about whom the server names."""
    conf.set("spark.uwfq.user", "bob")
    assert current_user() == "alice"
    conf.set("spark.uwfq.userSources", "property,connect")
    assert current_user() == "bob"
    conf.unset("spark.uwfq.user")
    assert current_user() == "alice"


def test_a_connect_session_can_say_the_weight_of_its_jobs(conf: FakeConf) -> None:
    """And has its own back after the block."""
    with user("alice", weight=2):
        assert conf.values["spark.uwfq.weight"] == "2"
        with user("alice", weight=0.5):
            assert conf.values["spark.uwfq.weight"] == "0.5"
        assert conf.values["spark.uwfq.weight"] == "2"
        with user("alice"):
            assert conf.values["spark.uwfq.weight"] == "1"
    assert "spark.uwfq.weight" not in conf.values


def test_the_session_tells_whom_to_ask_about_whom(conf: FakeConf) -> None:
    """Unless the caller knows better."""
    found = Whereabouts.of_session()
    assert (found.target, found.user, found.application) == ("scheduler:7170", "alice", "app-1")
    assert found.ca is None
    conf.set("spark.uwfq.tls.ca", "/etc/ca.pem")
    found = Whereabouts.of_session(user="bob", target="elsewhere:1")
    assert (found.target, found.user, found.ca) == ("elsewhere:1", "bob", "/etc/ca.pem")
    conf.unset("spark.uwfq.target")
    with pytest.raises(RuntimeError, match=r"uwfq_spark\.configure"):
        Whereabouts.of_session()


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        (" alice\t", "alice"),
        ("\u2003a\x1f", "a"),
        ("\xa0a\u2007", "\xa0a\u2007"),
        ("\x85a", "\x85a"),
        ("a\ud800b", "a?b"),
        (" \u3000 ", ""),
        ("x" * 128, "x" * 128),
        ("x" * 129, "x" * 111 + "~0ec9eb33e74510bc"),
        ("\xe4" * 100, "\xe4" * 55 + "~8c8b9015d474565b"),
        ("\u20ac" * 60, "\u20ac" * 37 + "~56cd480cb2c83130"),
    ],
)
def test_a_user_is_counted_as_the_plugin_does(name: str, known_as: str) -> None:
    """These were made by the plugin's own class."""
    assert users.counted_as(name) == known_as


def test_the_jobs_of_a_user_are_asked_for_under_the_name_that_the_service_knows(
    conf: FakeConf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the name comes from; under any other there are none."""
    long = "x" * 129
    known = users.counted_as(long)
    assert Whereabouts.of_session(user=" bob ").user == "bob"
    assert Whereabouts.of_session(user=long).user == known
    somebody: Any = SimpleNamespace(client=SimpleNamespace(_user_id=long), conf=conf)
    monkeypatch.setattr(users, "_connect_session", lambda: somebody)
    assert Whereabouts.of_session().user == known
    somebody.client._user_id = "  "
    conf.set("spark.uwfq.defaultUser", " team ")
    assert Whereabouts.of_session().user == "team"


def test_jobs_that_nobody_has_claimed_are_the_default_users(
    conf: FakeConf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the plugin counts them."""
    nobody: Any = SimpleNamespace(client=SimpleNamespace(_user_id=None), conf=conf)
    monkeypatch.setattr(users, "_connect_session", lambda: nobody)
    assert Whereabouts.of_session().user == "default"
    conf.set("spark.uwfq.defaultUser", "team")
    assert Whereabouts.of_session().user == "team"
