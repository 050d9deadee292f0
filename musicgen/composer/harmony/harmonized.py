"""Chords found for a melody, and the melody with them: as a tune and as its marked ABC text."""

from __future__ import annotations

from dataclasses import dataclass

from musicgen.composer.harmony.decoding import DecodingConfig, harmonies
from musicgen.composer.harmony.symbols import n_symbols, with_symbols, write_text
from musicgen.composer.prompts.source_file import SourceFile
from musicgen.errors import ControlError, InvalidTuneError
from musicgen.models.harmony.model import HarmonyModel
from musicgen.music.tune import Tune
from musicgen.tokens.harmony.chords import NOT_KNOWN, chord_id, chord_name, root_of
from musicgen.tokens.harmony.features import MAX_PIECES, MAX_SLOTS, harmony_example
from musicgen.tokens.harmony.slots import Slot, slots_of


@dataclass(frozen=True, slots=True)
class Harmonized:
    """A tune with chord symbols.

    `chords` names the chord of every slot and `probabilities` gives the model's probability of it.
    `n_replaced` chord symbols of the tune were removed; `agreement` is the share of slots whose
    root is that of the removed symbol (None without any).
    """

    tune: Tune
    slots: tuple[Slot, ...]
    chords: tuple[str, ...]
    probabilities: tuple[float, ...]
    symbols: dict[tuple[int, int], str]
    n_replaced: int
    agreement: float | None

    def abc(self, original: Tune) -> bytes | None:
        """The ABC file of `original` with only its chord symbols changed; None for a tune that is
        not from ABC, or whose text cannot be marked place by place."""
        source = SourceFile.of(original)
        if source.tune_text is None:
            return None
        try:
            return source.file_of(write_text(source.tune_text, original, self.symbols))
        except InvalidTuneError:
            return None


def harmonize(tune: Tune, model: HarmonyModel, config: DecodingConfig | None = None) -> Harmonized:
    """Find chords for the first voice of a tune; they replace its chord symbols.

    Raises:
        ControlError: the tune has no bar for a chord, or too many slots or notes.
    """
    slots = slots_of(tune)
    if not any(piece.midi is not None for slot in slots for piece in slot.pieces):
        raise ControlError(
            f"'{tune.title}' has no place for a chord: it needs a meter and a bar with notes"
        )
    example = harmony_example(slots)
    if len(slots) > MAX_SLOTS or len(example.melody) > MAX_PIECES:
        raise ControlError(
            f"'{tune.title}' is too long for one pass: {len(slots)} places for chords, "
            f"{len(example.melody)} notes, of {MAX_SLOTS} and {MAX_PIECES} at most; split it"
        )
    harmony = harmonies(model.network, example, config or DecodingConfig())
    ids = harmony.chords.tolist()
    chords = [chord_name(chord, slot.key) for chord, slot in zip(ids, slots, strict=True)]
    symbols = _changes(slots, chords)
    return Harmonized(
        tune=with_symbols(tune, symbols),
        slots=tuple(slots),
        chords=tuple(chords),
        probabilities=tuple(harmony.probabilities.tolist()),
        symbols=symbols,
        n_replaced=n_symbols(tune),
        agreement=_agreement(slots, ids),
    )


def _changes(slots: list[Slot], chords: list[str]) -> dict[tuple[int, int], str]:
    """The places of chord symbols: where the chord changes, and where a part begins."""
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
        root_of(replaced) == root_of(chord)
        for slot, chord in zip(slots, chords, strict=True)
        if (replaced := chord_id(slot.written, slot.key)) != NOT_KNOWN
    ]
    return sum(same) / len(same) if same else None
