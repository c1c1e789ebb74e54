"""Mends what students hand in: every cell of the release once, with the student's answers in it.

`door` is nbgrader's way in; `mend` decides what goes where, with `matching` (which cell is
which), `pieces` (what is in a cell), `damage` and `notes` (what was done, in words); `salvage`
reads a file that may hold anything.
"""
