"""The course's workshop, for authors and instructors: nbgrader's extension.

`author`, `build`, `execute`, `leaks` and `scaffold` turn a lab's source into the release and
the executed solution. `classroom` grades a course folder, `learner` one notebook; `results`
holds what they give, `report` prints it, `class_report` makes the instructor's page of it.
`submissions` reads the zoo (made-up submissions with the verdict each must get) and `sample`
grades it. `workspace` hands a student working copies, `student_copy` writes what a course may
publish, `formgrader` opens nbgrader's pages for marking by hand. `host` is the only door to
nbgrader's API, `course` says where everything lives. What students import is not here: that is
`trickster`.
"""
