"""What the labs' test cells call, one module a lab.

A check takes the student's names, calls them with plain data, arrays and callbacks,
prints what it measured, what was asked, what is usual and what a miss of that kind
means, and returns points. The form of a check lives in ``sheet``, the bars in ``bars``.
"""
