"""The scheduling core: pure, synchronous, told the time.

Start with ``scheduler.py`` (commands in, events out); ``model.py`` says what exists,
``virtual_time.py`` what fairness means, ``policy/`` who goes next.
"""
