"""The measurements behind every figure of the course, each run as ``python -m benchmarks.NAME``.

- ``results`` measures what is missing and writes RESULTS.md, README's table and the figures.
- Its parts: ``demo_a``, ``demo_b``, ``thieves_by_defense``, ``knowing_thieves``, ``right_answers``,
  ``detectors``, ``peers``, ``exact_theft``, ``lab_costs``, ``calibrate_training``,
  ``calibrate_honest``, ``calibrate_defenses``, ``calibrate_knowing``. Each has ``PART``, ``jobs``,
  ``run`` and ``section``.
- What they share: ``store`` (results on disk), ``cli`` (options and mains), ``formatting``,
  ``course_defenses`` (what thieves meet), ``demo_a_protocol``,
  ``answers`` (to the labs, as functions),
  ``calibration`` (verdicts of graded checks), ``memory``, ``summary`` (README's table).
- By themselves: ``batched_clones``, ``grading_speed``, ``make_fashion_mini``, ``train_victim``.
"""
