"""The performer: voices, accompaniment and count-in of one tune, in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from musicgen.errors import InvalidTuneError
from musicgen.music.instruments import program, sounding_program
from musicgen.music.performance import accompaniment
from musicgen.music.performance.accompaniment import BackingNote
from musicgen.music.performance.dynamics import (
    PLAIN_VELOCITY,
    MetricalStrength,
    dynamics,
    velocity,
)
from musicgen.music.performance.events import NoteTiming, Performance, Player, SoundingNote
from musicgen.music.performance.ornaments import OrnamentNote, play_out
from musicgen.music.performance.style import Style, swing_ratio, tempo_factor
from musicgen.music.performance.timing import Clock, StepFunction, Swing, place_bars
from musicgen.music.playback import PlayedNote, separate, tempo_map, timeline, unfold
from musicgen.music.theory import Key, default_qpm
from musicgen.music.transposition import at_concert_pitch, transpose
from musicgen.music.tune import NO_MARKS, Change, Marks, Tune, Voice, marks_of

MAX_DURATION_S = 30 * 60
MAX_NOTES = 200_000
MAX_VOICES = 32
LOWEST, HIGHEST = 12, 119  # MIDI pitches that can be heard as notes
BASS_INSTRUMENT, DRONE_INSTRUMENT = "acoustic bass", "reed organ"

# Share of its written length that a note sounds.
ARTICULATION = {"staccato": 0.5, "wedge": 0.35, "tenuto": 1.0, "fermata": 1.0}
USUAL_ARTICULATION = 0.95


class Performer:
    """Plays one tune: collects players and the notes of one time through, then repeats them."""

    def __init__(self, tune: Tune, style: Style) -> None:
        tune = transpose(tune, style.transpose) if style.transpose else tune
        self._tune, self._style = tune, style
        self._played = timeline(tune)
        self._require_playable()
        self._bars = place_bars(self._played.bars)
        tempos = _tempos(tune)
        self._meter = self._bars[0].meter if self._bars else tune.meter
        factor = tempo_factor(style, tempos[0][1], self._meter)
        self._clock = Clock([(onset, qpm * factor) for onset, qpm in tempos])
        self._swing = Swing(self._bars, self._played.notes, swing_ratio(style, tune.rhythm))
        changes = [(at, change.key) for at, change in self._played.changes if change.key]
        self._keys = [(Fraction(0), self._played.key), *changes]
        self._sounding = at_concert_pitch(unfold(tune))
        self._parts: list[Player] = []
        self._notes: list[SoundingNote] = []
        self._warnings: list[str] = []

    def _require_playable(self) -> None:
        title, n_voices = self._tune.title, len(self._tune.voices)
        if not self._played.notes:
            raise InvalidTuneError(f"'{title}' has no notes to play")
        if n_voices > MAX_VOICES:
            raise InvalidTuneError(
                f"'{title}' has {n_voices} voices, more than the {MAX_VOICES} that can be played"
            )

    def perform(self) -> Performance:
        """All of it, loops and count-in included."""
        loops, once_s = self._style.loops, float(self._clock(self._played.duration))
        self._require_short(loops * once_s, loops * len(self._played.notes))  # before any work
        self._play_voices()
        self._accompany()
        clicks, opening_s = self._count_in()
        duration_s = opening_s + loops * once_s
        self._require_short(duration_s, loops * len(self._notes))
        starts_s = [opening_s + i * once_s for i in range(loops)]
        notes = [replace(n, onset_s=s + n.onset_s) for s in starts_s for n in self._notes]
        notes = sorted(clicks + notes, key=lambda n: (n.onset_s, n.part, n.midi))
        return Performance(tuple(self._parts), tuple(notes), duration_s, tuple(self._warnings))

    def _require_short(self, duration_s: float, n_notes: int) -> None:
        for measured, most, unit in (
            (duration_s / 60, MAX_DURATION_S // 60, "minutes"),
            (n_notes, MAX_NOTES, "notes"),
        ):
            if measured > most:
                raise InvalidTuneError(
                    f"'{self._tune.title}' makes {measured:.0f} {unit} of music, more than {most}; "
                    "play fewer repeats or loops"
                )

    def note_timings(self) -> tuple[NoteTiming, ...]:
        """When each written note sounds, once through, without ornaments and accompaniment."""
        timings = []
        for number in range(len(self._tune.voices)):
            for note in separate([n for n in self._played.notes if n.voice == number]):
                sound = self._sound(note.onset, note.duration, note.midi)
                timings.append(
                    NoteTiming(sound.onset_s, sound.duration_s, note.midi, number, note.place)
                )
        return tuple(sorted(timings, key=lambda note: (note.onset_s, note.voice, note.midi)))

    def _play_voices(self) -> None:
        strength_at, key_at = (
            MetricalStrength(self._bars),
            StepFunction(self._keys, self._played.key),
        )
        players = list(_voice_parts(self._tune, self._style))
        self._parts += players
        part_at = [self._parts_in_turn(number, player) for number, player in enumerate(players)]
        voices = self._sounding.voices
        for number, marks in enumerate(map(_marks, voices)):
            dynamic_at = dynamics(_signs(voices[number]))
            written = [n for n in self._played.notes if n.voice == number]
            tops = {n.onset: n.midi for n in written}  # of chords; notes are by onset and pitch
            for note in separate(written):
                on_note = marks.get(note.onset, NO_MARKS)
                loudness = velocity(
                    strength_at(note.onset), on_note.decorations, dynamic_at(note.onset)
                )
                plain = not self._style.ornaments or note.midi != tops[note.onset]
                plain = plain or players[number].percussion
                for sound in self._sounds(note, on_note, key_at(note.onset), plain=plain):
                    self._add(sound, loudness, part_at[number](note.onset))

    def _parts_in_turn(self, number: int, player: Player) -> StepFunction[int]:
        """The part that plays a voice from each onset on: one for each program that it turns to,
        where its own programs decide."""
        changes = [] if self._style.instrument or player.percussion else self._played.programs
        parts: dict[int, int] = {player.program: number}
        steps = [(Fraction(0), number)]
        for onset, voice, program_ in changes:
            if voice == number:
                if program_ not in parts:
                    parts[program_] = len(self._parts)
                    self._parts.append(replace(player, program=program_))
                steps.append((onset, parts[program_]))
        return StepFunction(steps, number)

    def _sounds(
        self, note: PlayedNote, marks: Marks, key: Key, *, plain: bool
    ) -> list[OrnamentNote]:
        share = 1.0
        if self._style.articulation:
            shares = [ARTICULATION[d] for d in marks.decorations if d in ARTICULATION]
            share = min(shares, default=USUAL_ARTICULATION)
        sound = self._sound(note.onset, note.duration, note.midi)
        sound = replace(sound, duration_s=share * sound.duration_s)
        return [sound] if plain else play_out(sound, marks, key)

    def _accompany(self) -> None:
        style, end = self._style, self._played.duration
        if style.backing:
            backing = accompaniment.back(self._sounding, self._bars, end)
            self._warnings += [f"chord symbol '{text}' is not known" for text in backing.unknown]
            guitar = program(style.backing_instrument)
            self._add_part(Player("bass", program(BASS_INSTRUMENT), -0.2, 0.75), backing.bass)
            self._add_part(Player("chords", guitar, 0.35, 0.6), backing.chords)
        if style.drone:
            notes = accompaniment.drone(self._keys, end)
            if not notes:
                self._warnings.append("there is no drone, since the key has no tonic")
            self._add_part(Player("drone", program(DRONE_INSTRUMENT), 0.0, 0.4), notes)

    def _add_part(self, part: Player, notes: Sequence[BackingNote]) -> None:
        if notes:
            self._parts.append(part)
        for note in notes:
            sound = self._sound(note.onset, note.duration, note.midi)
            self._add(sound, velocity(note.strength), len(self._parts) - 1)

    def _add(self, sound: OrnamentNote, loudness: int, part: int) -> None:
        if not LOWEST <= sound.midi <= HIGHEST:
            raise InvalidTuneError(
                f"'{self._tune.title}' has pitch {sound.midi}, beyond what can be heard as a note "
                f"({LOWEST} to {HIGHEST}); transpose it"
            )
        loudness = loudness if self._style.accents else PLAIN_VELOCITY
        self._notes.append(
            SoundingNote(sound.onset_s, sound.duration_s, sound.midi, loudness, part)
        )

    def _count_in(self) -> tuple[list[SoundingNote], float]:
        """Clicks, and the seconds until the music begins."""
        if not self._style.count_in:
            return [], 0.0
        pickup = self._bars[0].offset if self._bars else Fraction(0)
        clicks, length = accompaniment.count_in(self._meter, pickup, self._style.count_in)
        pace_s = float(self._clock(Fraction(1)))
        self._parts.append(Player("count-in", percussion=True, level=0.35))
        notes = [
            SoundingNote(
                float(click.onset) * pace_s,
                float(click.duration) * pace_s,
                click.midi,
                velocity(click.strength),
                len(self._parts) - 1,
            )
            for click in clicks
        ]
        return notes, float(length) * pace_s

    def _sound(self, onset: Fraction, duration: Fraction, midi: int) -> OrnamentNote:
        """Quarters as written to seconds as played."""
        onset_s = self._clock(self._swing(onset))
        end_s = self._clock(self._swing(onset + duration))
        return OrnamentNote(float(onset_s), float(end_s - onset_s), midi)


def _tempos(tune: Tune) -> list[tuple[Fraction, Fraction]]:
    """(onset, quarters a minute) from the beginning on, the usual tempo where none is given."""
    tempos = tempo_map(tune)
    if not tempos or tempos[0][0] > 0:
        tempos.insert(0, (Fraction(0), Fraction(default_qpm(tune.rhythm))))
    return tempos


def _marks(voice: Voice) -> dict[Fraction, Marks]:
    """The marks of the notes of a voice without repeats, by their onsets."""
    return {onset: event.marks for onset, event in voice.placed if event.marks != NO_MARKS}


def _signs(voice: Voice) -> Iterator[tuple[Fraction, Marks]]:
    """The same with the signs between notes."""
    onset = Fraction(0)
    for event in (event for bar in voice.bars for event in bar.events):
        yield onset, marks_of(event)
        onset += Fraction(0) if isinstance(event, Change) else event.duration


def _voice_parts(tune: Tune, style: Style) -> Iterable[Player]:
    """The players of the voices, spread a little from left to right."""
    n = len(tune.voices)
    for i, voice in enumerate(tune.voices):
        number = sounding_program(voice, voice.program, number=i, instrument=style.instrument)
        pan = 0.0 if n == 1 else 0.5 * (2 * i / (n - 1) - 1)
        drums = voice.percussion is not None
        yield Player(voice.name or voice.id or f"voice {i + 1}", number, pan, percussion=drums)
