"""What is wrong with a CSV: structure, types, rules. Reads bytes, knows no tenant.

`engine.check` takes a `contract.CheckJob` and gives a `contract.CheckResult`; nothing else of the
checks is needed to judge a drop. Only the standard library and `revsyncd.core` are used here.
"""
