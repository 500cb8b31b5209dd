"""The cases that judge each exercise: one module for each floor of `lib`, one for each lesson that
has exercises of its own. What they are made of stands in `lib.course.bank`."""
