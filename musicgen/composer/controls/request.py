"""A request: the openings of a model's corpus that meet the controls, and the plan of each take."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from musicgen.composer.controls.constraint import ControlledConstraint, TakePlan
from musicgen.composer.controls.limits import with_lengths_of, with_motif
from musicgen.composer.controls.parsed import ParsedControls, alike
from musicgen.composer.controls.pitch_automaton import PitchAutomaton
from musicgen.composer.controls.scale import pitch_class
from musicgen.composer.controls.setting import Setting, setting_of
from musicgen.composer.controls.table import Controls
from musicgen.composer.controls.values import tempo_of
from musicgen.config import suggestion, what_is_known
from musicgen.errors import ControlError, InvalidTuneError, printable
from musicgen.music.theory import WRITTEN_METERS, Interval, Key, rhythm_meters
from musicgen.music.transposition import move
from musicgen.music.tune import Tune
from musicgen.tokens.melody.automaton import Automaton, shortest_length
from musicgen.tokens.melody.grammar import (
    Limits,
    Outline,
    advance,
    is_tonic,
    leaving_open,
    start,
    state_after,
)
from musicgen.tokens.melody.table import parse_token
from musicgen.tokens.vocabulary import Vocabulary

# Header tokens, in the order of HEADER_KINDS, and how often the corpus opens a tune so.
Opening = tuple[tuple[str, ...], int]
Outlines = Sequence[tuple[Outline, int]]  # outlines with their counts
# Kinds of header tokens that need not match, one more at a time, if the corpus never combines all
# the controls: the music is transposed, its unit rewritten, and pickup, mode and rhythm are put in
# the heading.
_NEGOTIABLE = ("tonic", "unit", "pickup", "mode", "rhythm")


@dataclass(frozen=True, eq=False)
class Request:
    """Controls that have been read, and the openings that meet them."""

    controls: ParsedControls
    openings: tuple[Opening, ...]
    vocabulary: Vocabulary
    outlines: Mapping[tuple[str, ...], Outlines] = field(default_factory=dict)
    _settings: dict[tuple[str, ...], Setting] = field(default_factory=dict)
    _plans: dict[tuple[tuple[str, ...], Outline], TakePlan] = field(default_factory=dict)
    _structures: dict[tuple[Outline, bool], Automaton] = field(default_factory=dict)
    _automata: dict[tuple[str, str, Outline], PitchAutomaton] = field(default_factory=dict)

    def _feasible(self) -> Request:
        """The request with only those openings whose notes suffice."""
        if not self.controls.exact:
            return self
        kept, reason = [], ""
        for tokens, count in self.openings:
            try:
                self.plan(self._header_for(tokens))
            except ControlError as error:
                reason = reason or str(error)
            else:
                kept.append((tokens, count))
        if not kept:
            raise ControlError(reason)
        if self.controls.key is None and self.controls.notes.scale is not None:
            kept = _closest_keys(kept, self.controls.notes.scale.pitch_classes)
        return replace(self, openings=tuple(kept))

    @cached_property
    def _cumulative(self) -> list[float]:
        counts = np.array([count for _, count in self.openings], dtype=np.float64)
        return list(np.cumsum(counts) / counts.sum())

    def draw(self, seed: int, index: int) -> tuple[tuple[str, ...], Outline]:
        """Header tokens and outline of take `index` of a seed, drawn as often as the corpus has
        them; () leaves the outline to the model."""
        # Independent of the sampler's stream of random numbers.
        random = np.random.default_rng([seed, index, 1])
        tokens, _ = self.openings[bisect_right(self._cumulative, random.random())]
        outlines = self._outlines_for(tokens)
        counts = np.array([count for _, count in outlines], np.float64)
        i = int(np.searchsorted(np.cumsum(counts), random.random() * counts.sum(), side="right"))
        return self._header_for(tokens), outlines[i][0] if outlines else ()

    def _outlines_for(self, tokens: tuple[str, ...]) -> Outlines:
        """The outlines to draw from for a heading; none if the controls state part lengths. If
        they state only the total of bars, those of any heading."""
        limits, form = self.controls.limits, self.controls.form
        if self.controls.motif is not None:
            return ()
        if limits is None:
            return self.outlines.get(tokens, ())
        if limits == Limits(total_bars=self._total):
            return self._outlines_of_total
        if form is None or any(part.bars for part in limits.form):
            return ()
        found = self.outlines.get(tokens) or self._all_outlines
        return with_lengths_of(found, form, limits.form)

    @cached_property
    def _all_outlines(self) -> Outlines:
        return [row for header, _ in self.openings for row in self.outlines.get(header, ())]

    @cached_property
    def _outlines_of_total(self) -> Outlines:
        return [
            (outline, count)
            for outline, count in self._all_outlines
            if sum(part.bars or 0 for part in outline) == self._total
        ]

    @property
    def _total(self) -> int | None:
        return None if self.controls.limits is None else self.controls.limits.total_bars

    def _header_for(self, tokens: Sequence[str]) -> tuple[str, ...]:
        rhythm, meter, unit, tonic, mode, pickup = tokens
        controls = self.controls
        if controls.rhythm is not None:
            rhythm = f"R:{controls.rhythm}"
        if controls.key is not None:
            mode = f"mode:{controls.key.mode}"
        if controls.pickup is not None:
            pickup = f"up:{controls.pickup}"
        return rhythm, meter, unit, tonic, mode, pickup

    def key_of(self, header: tuple[str, ...]) -> Key:
        """The key in which a take with this heading is written in the end."""
        return self.controls.key or _key_of(header)

    # --- the plan of each take -------------------------------------------------------------------

    def constraint(
        self, drawn: Sequence[tuple[tuple[str, ...], Outline]], *, hurry_after: int
    ) -> ControlledConstraint | None:
        """The constraint for takes with these headings and outlines; None if the grammar alone is
        enough."""
        known = all(text in self.vocabulary.ids for header, _ in drawn for text in header)
        if known and not self.controls.exact:
            return None
        return ControlledConstraint(
            [self._outlined_plan(*d) for d in drawn], hurry_after=hurry_after
        )

    def _outlined_plan(self, header: tuple[str, ...], outline: Outline) -> TakePlan:
        """The plan with an outline, or without it where the two contradict each other."""
        try:
            return self.plan(header, outline)
        except ControlError:
            return self.plan(header)

    def plan(self, header: tuple[str, ...], outline: Outline = ()) -> TakePlan:
        """The plan of a take with this heading.

        Raises:
            ControlError: no take with this heading can meet the controls.
        """
        if (header, outline) not in self._plans:
            self._plans[header, outline] = self._plan(header, outline)
        return self._plans[header, outline]

    def _plan(self, header: tuple[str, ...], outline: Outline) -> TakePlan:
        controls = self.controls
        _, _, unit, tonic, mode, _ = header
        motif = self._motif(parse_token(unit).value, _key_of(header))
        self._require_reach(header, motif)
        key = (tonic, mode, outline)
        if key not in self._automata:
            pitches = self._setting(header).pitches
            form, parts = controls.form, frozenset[int]()
            if form is not None:
                last = form.letters[-1]
                parts = frozenset(i for i, letter in enumerate(form.letters) if letter == last)
            # Without other rules for the notes, every place leads to every tonic.
            tokens = self._structure.tokens
            on_tonic = pitches.free and any(is_tonic(tokens[i]) for i in pitches.ids)
            structure = self._structure_of(outline, on_tonic=on_tonic)
            self._automata[key] = PitchAutomaton(structure, pitches, parts)
        automaton = self._automata[key]
        states = accumulate(map(parse_token, header), advance, initial=start())
        pitches, returning = automaton.pitches, self._returning_note(header, motif)
        edge = (
            None
            if returning is None or pitches.rules.max_interval is None
            else pitches.pitches[returning]
        )
        numbers = tuple(automaton.begin(state, edge) for state in states)
        return TakePlan(automaton, numbers, controls.form, motif, controls.max_repeats)

    @cached_property
    def _structure(self) -> Automaton:
        return self._structure_of((), on_tonic=False)

    def _structure_of(self, outline: Outline, *, on_tonic: bool) -> Automaton:
        """The grammar with an outline, or with the bars and parts of the controls; with `on_tonic`
        the tune ends on the tonic, too."""
        if (outline, on_tonic) not in self._structures:
            limits = Limits(form=outline) if outline else self._limits
            parts = self._ending_on_tonic(limits.form) if on_tonic else leaving_open(limits.form)
            automaton = Automaton(self.vocabulary, replace(limits, form=parts))
            self._structures[outline, on_tonic] = automaton
        return self._structures[outline, on_tonic]

    @cached_property
    def _limits(self) -> Limits:
        motif = self.controls.motif
        limits = self.controls.limits
        if motif is not None:
            limits = with_motif(limits, motif.n_bars, self.controls.pickup or motif.pickup)
        return limits or Limits()

    def _ending_on_tonic(self, parts: Outline) -> Outline:
        """The parts; those with which the tune ends are to end on the tonic, unless the outline
        states how parts end."""
        if not parts or any(part.ends_on_tonic is not None for part in parts):
            return parts
        form = self.controls.form
        letters = form.letters if form is not None else range(len(parts))
        return tuple(
            replace(part, ends_on_tonic=True) if letter == letters[-1] else part
            for part, letter in zip(parts, letters, strict=True)
        )

    def _setting(self, header: tuple[str, ...], motif: Sequence[int] = ()) -> Setting:
        if header[3:5] not in self._settings:
            model_key, rules = _key_of(header), self.controls.notes
            key = self.controls.key or model_key
            self._settings[header[3:5]] = setting_of(
                rules, model_key, key, self._structure.tokens, motif
            )
        return self._settings[header[3:5]]

    def _motif(self, unit: Any, model_key: Key) -> tuple[int, ...]:
        if self.controls.motif is None:
            return ()
        try:
            tokens = self.controls.motif.tokens(model_key, unit)
        except InvalidTuneError as error:
            raise ControlError(f"motif: {error}") from None
        unknown = [text for text in tokens if text not in self.vocabulary.ids]
        if unknown:
            raise ControlError(
                f"motif: the model knows no '{unknown[0]}' (a note or length its corpus lacks)"
            )
        return tuple(self.vocabulary.ids[text] for text in tokens)

    def _require_reach(self, header: tuple[str, ...], motif: Sequence[int]) -> None:
        """See that motif and pitches go together."""
        pitches = self._setting(header, motif).pitches
        widest = pitches.rules.max_interval
        notes = [i for i in motif if self._structure.is_pitch[i]]
        if not notes or widest is None:
            return
        for note, following in pairwise(notes):
            leap = abs(pitches.pitches[note] - pitches.pitches[following])
            if leap > widest:
                raise ControlError(f"the motif leaps {leap} semitones; max-interval is {widest}")
        place = {token_id: i for i, token_id in enumerate(pitches.ids)}
        first, last = place[notes[0]], place[notes[-1]]
        returning = self._returning_note(header, motif)
        edges = [first] if returning is None else [first, place[returning]]
        near = [
            t for t in np.flatnonzero(pitches.is_tonic).tolist() if pitches.near[edges, t].all()
        ]
        near = near if pitches.near[np.ix_(edges, edges)].all() else []
        state = state_after(header)
        slots = int((state.full - state.pickup) / (state.unit * self._structure.smallest))
        if not near or max(pitches.steps[last, t] for t in (first, *near)) > slots:
            raise ControlError(
                f"max-interval {widest} is too small to get from the motif to an end"
            )

    def _returning_note(self, header: tuple[str, ...], motif: Sequence[int]) -> int | None:
        """The first pitch of the motif where it returns, which is without its pickup."""
        tokens = self._structure.tokens
        closes = [i for i, t in enumerate(motif) if tokens[t].kind == "close"]
        begin = closes[0] if state_after(header).in_pickup and closes else 0
        return next((t for t in motif[begin:] if self._structure.is_pitch[t]), None)

    def fulfil(self, tune: Tune, header: tuple[str, ...]) -> Tune:
        """The sampled tune in exactly the key, meter, unit and tempo of the controls."""
        controls = self.controls
        meter = controls.meter or WRITTEN_METERS.get((tune.rhythm, tune.meter), tune.meter)
        tune = replace(tune, meter=meter, unit=controls.unit or tune.unit)
        if controls.tempo is not None:
            tune = replace(tune, tempo=tempo_of(controls.tempo, meter))
        if not controls.exact:
            if controls.key is None:
                return tune
            return move(tune, Interval.between(tune.key, controls.key))
        interval = self._setting(header).interval
        return tune if interval == Interval(0, 0) else move(tune, interval)


def understand(
    controls: Controls,
    openings: Sequence[Opening],
    vocabulary: Vocabulary,
    outlines: Mapping[tuple[str, ...], Outlines] | None = None,
) -> Request:
    """Check controls against each other and find the openings of a model that meet them;
    `outlines` are those of the corpus's tunes by their headings, where they are known.

    Raises:
        ControlError: they cannot be read, contradict each other, or name what no tune of the
            model's corpus has.
    """
    parsed = ParsedControls.of(controls, shortest_length(vocabulary))
    headers = [_header(tokens) for tokens, _ in openings]
    _require_known(parsed, headers)
    fits = [_fits(parsed, header) for header in headers]
    for n in range(len(_NEGOTIABLE) + 1):
        kept = {kind: v for kind, v in parsed.header.items() if kind not in _NEGOTIABLE[:n]}
        matching = tuple(
            opening
            for opening, header, fit in zip(openings, headers, fits, strict=True)
            if fit and all(header[kind] == value for kind, value in kept.items())
        )
        if matching:
            return Request(parsed, matching, vocabulary, outlines or {})._feasible()
    raise ControlError(_why_none_fits(parsed, headers))


def _header(tokens: Sequence[str]) -> dict[str, Any]:
    return {token.kind: token.value for token in map(parse_token, tokens)}


def _key_of(header: Sequence[str]) -> Key:
    """The key of a heading."""
    return Key(parse_token(header[3]).value, parse_token(header[4]).value)


def _closest_keys(openings: list[Opening], pitch_classes: Any) -> list[Opening]:
    """The openings whose key has all notes of the scale; if there are none, those whose tonic is in
    it; else all."""

    keyed = [(opening, _key_of(opening[0])) for opening in openings]
    keyed = [
        (opening, key) for opening, key in keyed if key.tonic_pitch_class in pitch_classes(key)
    ]
    inside = [
        opening
        for opening, key in keyed
        if pitch_classes(key) <= set(map(pitch_class, key.signature.items()))
    ]
    return inside or [opening for opening, _ in keyed] or openings


def _fits(controls: ParsedControls, header: dict[str, Any]) -> bool:
    """Whether an opening can meet the controls without changes to its music."""
    meter = header["meter"]
    if controls.meter is not None and not alike(controls.meter, meter):
        return False
    danced = rhythm_meters(controls.rhythm or "")
    if danced and str(meter) not in danced:
        return False
    full = meter.bar_duration
    if controls.unit is not None and (full / controls.unit).denominator != 1:
        return False
    pickup = controls.pickup
    if pickup is None:
        return True
    return bool(pickup < full and (pickup / (header["unit"] * controls.smallest)).denominator == 1)


def _require_known(controls: ParsedControls, headers: Sequence[dict[str, Any]]) -> None:
    if controls.rhythm is not None:
        _require(controls.rhythm, "rhythm", {h["rhythm"] for h in headers} - {""})
    if controls.key is not None:
        _require(controls.key.mode, "mode", {h["mode"] for h in headers})
    if controls.meter is not None and not any(alike(controls.meter, h["meter"]) for h in headers):
        _require(str(controls.meter), "meter", {str(h["meter"]) for h in headers})


def _require(value: str, name: str, known: set[str]) -> None:
    if value not in known:
        advice = suggestion(value, known) if name == "rhythm" else ""  # 5/4 is not like 3/4
        raise ControlError(
            f"{name} '{printable(value)}': the model knows no such tune; "
            f"{advice}{advice and ' '}{what_is_known(known)}"
        )


def _why_none_fits(controls: ParsedControls, headers: Sequence[dict[str, Any]]) -> str:
    """The one of rhythm, unit and pickup that no opening can meet."""
    if not any(_fits(replace(controls, unit=None, pickup=None), header) for header in headers):
        return f"the model knows no {controls.rhythm} in {controls.meter}; ask for one of them only"
    if not any(_fits(replace(controls, pickup=None), header) for header in headers):
        assert controls.unit is not None
        return f"unit {controls.unit / 4}: it does not divide the bars that were asked for"
    assert controls.pickup is not None
    return (
        f"pickup {controls.pickup / 4}: not shorter than a bar, or finer than the model's notes, "
        "in the meters that were asked for"
    )
