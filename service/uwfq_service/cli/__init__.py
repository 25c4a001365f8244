"""The command ``uwfq``: what an operator, a submitter and a worker do from a terminal.

Every command prints a table for people, or with ``--output json`` one JSON document for programs.
Errors are one line on stderr.  Exit codes, for scripts:

    0  done
    1  it did not work this time: service unreachable, full or broken, or the job has failed
    2  asked wrongly: a bad option or value, or a request that the service refuses
    130  interrupted (Ctrl-C)
"""

from uwfq_service.cli.app import main

__all__ = ["main"]
