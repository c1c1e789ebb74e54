"""Repairs submitted notebooks: every cell of the release once, with the student's answers in it.

In the order in which a submission meets them:

- `salvage`: reads the file, however damaged, as a valid notebook, or refuses it.
- `matching`: finds out which cell of the release each submitted cell is, with `fragments` (what
  a cell's text defines, how similar two texts are, where they can be cut).
- `mend`: decides what goes into each cell, and assembles the notebook.
- `diagnosis`: finds what happened to metadata, types and order.
- `notes`: says what was repaired, to the instructor and to the student.
- `summary`: puts what the student is told at the top of the notebook.
"""
