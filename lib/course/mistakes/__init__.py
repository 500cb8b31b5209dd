"""The classic wrong answers to each exercise, one module for each module of `lib.course.checks`.

They serve twice: tests prove that the checks catch every one, and when a learner's code behaves
like one of them in every case, the check says which it is.
"""
