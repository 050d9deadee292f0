"""The requests that change something: which fields each has."""

from __future__ import annotations

from dataclasses import replace

from musicgen.composer.controls.scale import NAMED
from musicgen.composer.controls.values import MOST_BARS, WIDEST_INTERVAL
from musicgen.composer.sampling import TEMPERATURE
from musicgen.composer.selection import JUDGES
from musicgen.formats.engraving.score import LARGEST, SMALLEST
from musicgen.music.instruments import PROGRAMS, RANGES
from musicgen.music.theory import RHYTHM_METERS
from musicgen.music.transposition import MOST_SEMITONES
from musicgen.studio.edits import CHANGES
from musicgen.studio.fields import MAX_BASE64, MAX_MUSIC, Field, FieldGroup
from musicgen.studio.files import TYPES

MOST_TAKES = 8
MOST_SEED = 2**53 - 1  # what JavaScript can say exactly
MOST_REPEATS = 64
MOST_VOICES = 64
KINDS = ("generate", "continue", "infill", "vary")
FORMATS = tuple(TYPES)
_UNITS = ("1/4", "1/8", "1/16")
_METERS = tuple(dict.fromkeys(meter for meters in RHYTHM_METERS.values() for meter in meters))

_ABC = Field(
    name="abc", kind="music", label="ABC", longest=MAX_MUSIC, required=True, help="One tune in ABC."
)

CONTROLS = FieldGroup(
    (
        Field(
            name="like",
            label="In words",
            help="What you would tell a musician: slow waltz in E minor. Ask below only for what "
            "it leaves open.",
        ),
        Field(
            name="key",
            label="Key",
            help="The note it feels at home on, and the mode: D, Ador, E minor, Bb mixolydian.",
            choices=("D", "G", "A", "C", "F", "Bb", "Em", "Am", "Bm", "Dm", "Ador", "Edor",
                     "Dmix", "Amix", "Gmix"),
        ),
        Field(
            name="meter",
            label="Meter",
            help="Beats in a bar: 6/8 for jigs, 4/4 or C| for reels, 3/4 for waltzes.",
            choices=_METERS,
        ),
        Field(name="rhythm", label="Rhythm", help="The dance: what it is to be played for."),
        Field(
            name="form",
            label="Form",
            help="Parts by letters: AABB is two parts, each played twice; ABAC brings A back.",
            choices=("AABB", "AAB", "ABAC", "AABBCC", "ABCA", "AA", "AB", "ABAB"),
        ),
        Field(
            name="bars",
            kind="integer",
            label="Bars",
            minimum=1,
            maximum=MOST_BARS,
            step=1,
            help="Full bars as written, each part once; most dance tunes have 16.",
        ),
        Field(
            name="part_bars",
            label="Bars of each part",
            help="One number for all parts, or one for each: 8, or 8,12.",
        ),
        Field(
            name="pickup",
            label="Pickup",
            help="Notes before the first full bar, as a length: 1/8, or 0 for none.",
            choices=("0", "1/8", "1/4", "3/8"),
        ),
        Field(
            name="range",
            label="Range",
            help="Lowest and highest note, D4-B5; C4 is middle C.",
        ),
        Field(
            name="instrument",
            label="For the instrument",
            help="Keep to what it can play.",
            choices=tuple(RANGES),
        ),
        Field(
            name="scale",
            label="Scale",
            help="The only notes to use: the key's own (diatonic), five of them (pentatonic), or "
            "a list: D E F# A B.",
            choices=("diatonic", "pentatonic", *NAMED),
        ),
        Field(
            name="tempo",
            label="Tempo",
            help="Beats a minute as they are felt, 110, or with the note that beats: 3/8=110.",
        ),
        Field(
            name="unit",
            label="Unit of the ABC",
            help="The note length that a letter stands for in the ABC text.",
            choices=_UNITS,
        ),
        Field(
            name="end_on_tonic",
            kind="flag",
            label="End at home",
            help="The last note is the key's own.",
            default=False,
        ),
        Field(
            name="max_interval",
            kind="integer",
            label="Widest leap",
            minimum=1,
            maximum=WIDEST_INTERVAL,
            step=1,
            help="In semitones, between notes that follow each other; 12 is an octave.",
        ),
        Field(
            name="max_repeats",
            kind="integer",
            label="Same bar in a row",
            minimum=0,
            maximum=MOST_REPEATS,
            step=1,
            default=0,
            help="How often the same bar may follow itself; 0 is as often as it likes.",
        ),
        replace(
            _ABC,
            name="motif",
            label="Motif",
            required=False,
            help="A tune in ABC some of whose bars open the new one and come back in it.",
        ),
        Field(
            name="motif_bars",
            label="Bars of the motif",
            help="Which full bars of it, counted from 1: 1-2.",
            default="1-2",
        ),
    )
)  # fmt: skip
SAMPLING = FieldGroup(
    (
        Field(
            name="temperature",
            kind="number",
            label="Temperature",
            minimum=0,
            maximum=5,
            step=0.05,
            default=TEMPERATURE,
            help="Below 1 plays safe, above 1 takes risks; 0 is always the likeliest note.",
        ),
        Field(
            name="top_k",
            kind="integer",
            label="Top k",
            minimum=0,
            maximum=10_000,
            step=1,
            default=0,
            help="Choose among so many of the likeliest notes; 0 is all of them.",
        ),
        Field(
            name="top_p",
            kind="number",
            label="Top p",
            minimum=0.01,
            maximum=1,
            step=0.01,
            default=1.0,
            help="Choose among the likeliest that together have this chance; 1 is all of them.",
        ),
        Field(
            name="min_p",
            kind="number",
            label="Min p",
            minimum=0,
            maximum=1,
            step=0.01,
            default=0.0,
            help="Leave out what has less than this share of the likeliest note's chance.",
        ),
    )
)
SELECTION = FieldGroup(
    (
        Field(
            name="best_of",
            kind="integer",
            label="Best of",
            minimum=1,
            maximum=16,
            step=1,
            default=1,  # what comes first can be shown while it is sampled
            help="Compose so many for each take and keep the best.",
        ),
        Field(
            name="judge",
            kind="choice",
            label="Judge",
            choices=tuple(JUDGES),
            help="Who says what is best: a critic that knows real tunes from new (likeness), "
            "the model itself (likelihood), rules of form and novelty (structure), or a judge that "
            "knows mistakes (fitted). Left out: the critic, if the model has one.",
        ),
        Field(
            name="max_copied_bars",
            kind="integer",
            label="Bars like a known tune",
            minimum=0,
            maximum=MOST_BARS,
            step=1,
            help="Compose again what shares more bars with one tune of the corpus.",
        ),
    )
)
SIZE = Field(
    name="size",
    kind="integer",
    minimum=SMALLEST,
    maximum=LARGEST,
    help="Of the music on the score, in percent of what fills a sheet of paper.",
)
INSTRUMENT = Field(
    name="instrument",
    kind="choice",
    label="Instrument",
    choices=tuple(PROGRAMS),
    help="Who plays it (default: a fiddle, or what the tune says).",
)
TAKES = FieldGroup(
    (
        Field(name="kind", kind="choice", choices=KINDS, required=True, help="What to do."),
        Field(
            name="seed",
            kind="integer",
            minimum=0,
            maximum=MOST_SEED,
            default=0,
            help="The same seed and settings give the same takes.",
        ),
        Field(
            name="number",
            kind="integer",
            minimum=1,
            maximum=MOST_TAKES,
            default=1,
            help="Of takes.",
        ),
        Field(name="controls", kind="group", group=CONTROLS),
        Field(name="sampling", kind="group", group=SAMPLING),
        Field(name="selection", kind="group", group=SELECTION),
        replace(_ABC, required=False, help="continue, infill, vary: the tune that is there."),
        Field(
            name="bars",
            kind="bars",
            minimum=1,
            maximum=MOST_BARS,
            help="infill: which bars, as printed (5-8; a pickup is bar 0). continue: how many full "
            "bars the whole is to have.",
        ),
        Field(
            name="similarity",
            help="vary: a band between 0 and 1, such as 0.6-0.8 (the default).",
        ),
        SIZE,
    )
)
TUNE = FieldGroup((_ABC, SIZE))
SURPRISE = FieldGroup((_ABC,))
ATTENTION = FieldGroup(
    (
        _ABC,
        Field(name="place", kind="place", required=True, help="The note: [bar, event] from 0."),
        Field(name="layer", kind="integer", minimum=1, maximum=1000),
        Field(name="head", kind="integer", minimum=1, maximum=1000),
    )
)
READ = FieldGroup(
    (
        Field(
            name="name",
            longest=255,
            required=True,
            help="The file's name; its extension says the format. It is used for nothing else.",
        ),
        Field(name="data", kind="data", longest=MAX_BASE64, required=True, help="The file."),
    )
)
CHANGE = FieldGroup(
    (
        _ABC,
        Field(name="change", kind="choice", choices=tuple(CHANGES), required=True),
        Field(
            name="semitones",
            kind="integer",
            minimum=-MOST_SEMITONES,
            maximum=MOST_SEMITONES,
            help="transpose: by so many; or give a key.",
        ),
        Field(name="key", help="transpose: to this key, such as G, the nearer way."),
        Field(name="rhythm", help="rhythm: the dance it is to become, such as reel."),
        Field(
            name="voice",
            kind="integer",
            minimum=1,
            maximum=MOST_VOICES,
            help="voice: which one stays, counted from 1.",
        ),
        Field(name="tempo", help="tempo: beats a minute, 110, or 3/8=110."),
        Field(name="title", longest=200, help="title: the new one."),
        Field(name="place", kind="place", help="cut: the first event that goes, [bar, event]."),
        SIZE,
    )
)  # fmt: skip
EXPORT = FieldGroup(
    (
        replace(_ABC, help="One or more tunes in ABC."),
        Field(name="format", kind="choice", choices=FORMATS, required=True),
        INSTRUMENT,
    )
)
