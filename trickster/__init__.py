"""The course library of Trickster Labs.

What the labs import and what their checks measure with: data and query pools,
small networks and one training loop, the prediction API, the thieves, the
measurements and the figures. Grading lives elsewhere, in ``autograder``.
"""

__version__ = "0.1.0"
