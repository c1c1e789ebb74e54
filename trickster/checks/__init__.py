"""What the labs' test cells call, one module a lab; what it tries in detail is in ``*_cases``.

A check takes the student's names, calls them with plain data, arrays and callbacks, and
returns a :class:`~trickster.checks.result.CheckResult`: the points, and for each part what
was measured, what was asked, what is usual and what a miss of that kind means. It prints
nothing; a notebook shows the result as a table, ``print(result.as_text())`` shows it elsewhere.
How a check is written stands at the head of ``result``, what its numbers are compared with in
``thresholds``.
"""
