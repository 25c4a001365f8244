"""What the bridge costs a user who is alone: makespans with it over those of stock FIFO.

Two applications are up at the same time, one with the bridge, one without; they take turns at the
same work, so that whatever else the machine does meets both.  Turns go in pairs, each pair begins
with the other one, and the ratio is the median over pairs.

    python -m tests.bench.bench_spark_overhead [--pairs 15] [--python .venv-spark35/bin/python]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from pathlib import Path

from spark_bridge.demo.processes import Driver, Service

from tests.spark.application import configuration

#: Action of the driver program, and what it is given.
WORK = {
    "1,000 short tasks": ("short_tasks", {"tasks": 1_000}),
    "a query of 10 stages": ("ten_stages", {"rows": 400_000}),
}
#: Pairs before it counts: Java compiles what is hot.
WARM_UP = 4


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--python", default=sys.executable, help="whose PySpark runs")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uwfq-")))
        service = stack.enter_context(Service(directory))
        drivers = {}
        version = ""
        for name in ("FIFO", "bridge"):
            (directory / name / "events").mkdir(parents=True)
            settings = configuration(options.python, directory / name, service, "local[2]")
            # Nothing but the schedulers; and compiled as in any application.
            for key in [key for key in settings if key.endswith("extraJavaOptions")]:
                del settings[key]
            settings["spark.eventLog.enabled"] = "false"
            if name == "FIFO":
                settings = {
                    key: value
                    for key, value in settings.items()
                    if not key.startswith(("spark.uwfq.", "spark.plugins", "spark.sql.extensions"))
                }
            log = directory / f"{name}.log"
            driver = stack.enter_context(Driver(options.python, "tests.spark.program", log))
            version = driver.call("start", settings=settings)
            drivers[name] = driver
        print(f"Spark {version}, local[2], {options.pairs} pairs; seconds, medians")
        print(
            f"{'work':<22} {'FIFO':>8} {'bridge':>8} {'ratio':>7} {'middle half of the ratios':>27}"
        )
        for work, (action, arguments) in WORK.items():
            pairs = []
            for number in range(WARM_UP + options.pairs):
                took = {}
                for name in ("FIFO", "bridge") if number % 2 else ("bridge", "FIFO"):
                    took[name] = drivers[name].call(
                        action, user="alice", name=f"{action}-{number}", **arguments
                    )
                if number >= WARM_UP:
                    pairs.append((took["FIFO"], took["bridge"]))
            ratios = [bridge / fifo for fifo, bridge in pairs]
            low, middle, high = statistics.quantiles(ratios, n=4)
            fifo, bridge = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{work:<22} {fifo:8.3f} {bridge:8.3f} {middle:7.3f} {low:13.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
