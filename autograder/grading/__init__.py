"""From what students hand in to scores: one submission, a class, the gradebook."""
