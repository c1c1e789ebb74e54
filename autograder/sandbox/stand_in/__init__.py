"""Stands where the checks are on the grader's side; they do not run beside a submission."""
