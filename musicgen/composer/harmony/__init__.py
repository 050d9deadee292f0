"""Chords for a melody: an encoder-decoder with attention over the whole tune, and its yardsticks.

    model = harmonization.load()
    harmonized = harmonization.harmonize(tune, model)
    musicgen.write(harmonized.tune, "tune.mid")          # with bass and chords

`slots` says where chords may come, `lesson` what a network sees of a tune, `network` is the
encoder-decoder, `decoding` the search, `symbols` the writing of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from musicgen.composer.harmony.chords import NOT_KNOWN, chord_id, chord_name, root_of
from musicgen.composer.harmony.features import MAX_PIECES, MAX_SLOTS, lesson
from musicgen.composer.harmony.slots import Slot, slots_of
from musicgen.composer.harmony.symbols import n_symbols, with_symbols, write_text
from musicgen.composer.prompts.source_file import SourceFile
from musicgen.errors import ControlError, InvalidTuneError
from musicgen.music.tune import Tune

if TYPE_CHECKING:
    from pathlib import Path

    from musicgen.composer.harmony.decoding import DecodingConfig
    from musicgen.composer.harmony.model import HarmonyModel

__all__ = ["Harmonized", "harmonize", "load"]


@dataclass(frozen=True, slots=True)
class Harmonized:
    """`tune` with its chord symbols; `chords` names the chord of every slot and `probabilities`
    how sure the model was; `n_replaced` chord symbols of its own were taken out, and `agreement` is
    the share of slots in which the root is that of the tune's own chord (None without any)."""

    tune: Tune
    slots: tuple[Slot, ...]
    chords: tuple[str, ...]
    probabilities: tuple[float, ...]
    symbols: dict[tuple[int, int], str]
    n_replaced: int
    agreement: float | None

    def abc(self, original: Tune) -> bytes | None:
        """The ABC file that `original` was read from with the symbols and nothing else changed;
        None for a tune that is not from ABC, or whose text cannot be marked so."""
        manuscript = SourceFile.of(original)
        if manuscript.page is None:
            return None
        try:
            return manuscript.file_of(write_text(manuscript.page, original, self.symbols))
        except InvalidTuneError:
            return None


def load(folder: str | Path | None = None) -> HarmonyModel:
    """The harmonizer in a folder, or the one that comes with musicgen.

    Raises:
        CheckpointError: it is missing, damaged or foreign.
    """
    from musicgen.composer.harmony import model

    return model.load(model.SHIPPED if folder is None else folder)


def harmonize(tune: Tune, model: HarmonyModel, config: DecodingConfig | None = None) -> Harmonized:
    """Chords for the first voice of a tune; chord symbols that are there are replaced.

    Raises:
        ControlError: the tune has no bar that a chord could stand in, or too many.
    """
    from musicgen.composer.harmony.decoding import DecodingConfig, harmonies

    slots = slots_of(tune)
    if not slots or not any(piece.midi is not None for slot in slots for piece in slot.pieces):
        raise ControlError(
            f"'{tune.title}' has no place for a chord: it needs a meter and a bar with notes"
        )
    given = lesson(slots)
    if len(slots) > MAX_SLOTS or len(given.melody) > MAX_PIECES:
        raise ControlError(
            f"'{tune.title}' is too long to be heard as a whole: {len(slots)} places for chords, "
            f"{len(given.melody)} notes, of {MAX_SLOTS} and {MAX_PIECES} at most; split it"
        )
    found = harmonies(model.network, given, config or DecodingConfig())
    chords = [
        chord_name(chord, slot.key)
        for chord, slot in zip(found.chords.tolist(), slots, strict=True)
    ]
    symbols = _written(slots, chords)
    return Harmonized(
        tune=with_symbols(tune, symbols),
        slots=tuple(slots),
        chords=tuple(chords),
        probabilities=tuple(found.probabilities.tolist()),
        symbols=symbols,
        n_replaced=n_symbols(tune),
        agreement=_agreement(slots, found.chords.tolist()),
    )


def _written(slots: list[Slot], chords: list[str]) -> dict[tuple[int, int], str]:
    """Where a symbol has to stand: where the chord changes, and where a part begins."""
    symbols: dict[tuple[int, int], str] = {}
    before: tuple[str, int] = ("", 0)  # chord, first bar of the part
    for slot, chord in zip(slots, chords, strict=True):
        part = slot.bar - slot.part_bar
        if slot.event is not None and (chord, part) != before:
            symbols[slot.bar, slot.event] = chord
            before = (chord, part)
    return symbols


def _agreement(slots: list[Slot], chords: list[int]) -> float | None:
    same = [
        root_of(own) == root_of(chord)
        for slot, chord in zip(slots, chords, strict=True)
        if (own := chord_id(slot.written, slot.key)) != NOT_KNOWN
    ]
    return sum(same) / len(same) if same else None
