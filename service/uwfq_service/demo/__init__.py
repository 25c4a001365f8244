"""``uwfq demo``: three users share this machine, under three ways to schedule the same jobs.

dataset    the files they work on, made once
query      what they ask of them
sizing     how much of it, measured on this machine
workload   who submits what, and when
processes  the service and the workers, as processes of their own
phases     one way to schedule: start, submit, wait, collect
timeline   where the time went
results    the figures;  report  the tables;  display  what is seen meanwhile
run        all of it, in order
"""
