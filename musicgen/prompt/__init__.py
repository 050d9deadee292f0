"""Music that is there as a prompt: what a model hears of it, what it may write, both as one again."""

from __future__ import annotations

from musicgen.prompt.course import Course, Courses, Measure, Plan
from musicgen.prompt.hearing import heard_as
from musicgen.prompt.sketch import Sketch, Whole

__all__ = ["Course", "Courses", "Measure", "Plan", "Sketch", "Whole", "heard_as"]
