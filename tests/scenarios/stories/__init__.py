"""One story per module: its docstring says the rule, ``tell`` tells it."""
