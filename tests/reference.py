"""The labs' own solutions as functions, taken from the sources of the labs."""

from __future__ import annotations

from benchmarks import answers
from benchmarks.store import ROOT as ROOT

reference = answers.solution
