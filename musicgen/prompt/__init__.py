"""Music that is there as a prompt: what a model hears, what it may write, both as one again."""

from __future__ import annotations

from musicgen.prompt.course import Course, Courses, Measure, Plan
from musicgen.prompt.hearing import heard_as
from musicgen.prompt.piece import Piece, Stretch
from musicgen.prompt.sketch import Sketch
from musicgen.prompt.whole import Whole

__all__ = [
    "Course",
    "Courses",
    "Measure",
    "Piece",
    "Plan",
    "Sketch",
    "Stretch",
    "Whole",
    "heard_as",
]
