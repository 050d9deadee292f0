"""Music that is there as a prompt: what a model hears, what it may write, both as one again."""

from __future__ import annotations

from musicgen.composer.prompts.bar_plan import Course, Courses, Measure, Plan
from musicgen.composer.prompts.infill_target import Piece, Stretch
from musicgen.composer.prompts.result import Whole
from musicgen.composer.prompts.tokens import heard_as
from musicgen.composer.prompts.unfinished import Sketch

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
