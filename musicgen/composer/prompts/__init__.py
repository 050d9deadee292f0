"""Music that is there as a prompt: what a model hears, what it may write, both as one again."""

from __future__ import annotations

from musicgen.composer.prompts.bar_plan import BarPlan, BarPlanTables, Courses, PlannedBar
from musicgen.composer.prompts.infill_target import InfillTarget, Stretch
from musicgen.composer.prompts.result import Whole
from musicgen.composer.prompts.tokens import heard_as
from musicgen.composer.prompts.unfinished import UnfinishedMelody

__all__ = [
    "BarPlan",
    "BarPlanTables",
    "Courses",
    "InfillTarget",
    "PlannedBar",
    "Stretch",
    "UnfinishedMelody",
    "Whole",
    "heard_as",
]
