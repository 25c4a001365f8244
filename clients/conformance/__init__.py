"""The conformance suite: scenarios as data, played to the client of any language.

    scenario.py   reads a scenario from YAML, and refuses what it does not know
    matching.py   what may be expected of an answer: part of it, and a few matchers
    messages.py   protobuf's JSON as plain values, so that languages' dialects do not matter
    service.py    a real server process, to be killed and started again
    adapter.py    a client's adapter: a process that is talked to in lines of JSON
    player.py     plays one scenario to one client (or to all of them at once)
    registry.py   which clients there are, how to build their adapters
    report.py     the table language x scenario

README.md tells how adapters and scenarios are written.
"""
