"""A month-end in miniature: the real daemon against the simulator, told as it happens, then audited.

`performance` (runs it) > `month_end` (the acts) > `daemon`, `journal`, `telling`, `tree`, `sample`;
afterwards `findings` collects, `audit` compares, `summary` tells.
"""

from revsyncd.demo.performance import run

__all__ = ["run"]
