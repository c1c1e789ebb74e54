"""Between a course folder and a learning-management system: what comes in, and what goes back."""
