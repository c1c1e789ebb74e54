"""The zoo, handed in as a class: what a new instructor grades first, and what proves grading."""
