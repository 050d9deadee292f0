"""Files made by hand to break readers: bombs, lies, absurd numbers, endless nesting.

`FILES` maps a name, whose extension is that of the file, to a function that makes its bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

HEAD = "X:1\nT:t\nM:4/4\nL:1/8\nK:C\n"
MIB = 2**20


def abc(music: str, head: str = HEAD) -> Callable[[], bytes]:
    """ABC with this music."""
    return lambda: (head + music + "\n").encode("utf-8", "surrogatepass")


def midi(*events: bytes, kind: int = 1, division: int = 480, tracks: int = 1) -> bytes:
    """A MIDI file whose tracks all have these events, deltas included."""
    body = b"".join(events)
    head = b"MThd\0\0\0\6" + struct.pack(">HHH", kind, tracks, division)
    return head + (b"MTrk" + struct.pack(">I", len(body)) + body) * tracks


END = b"\0\xff\x2f\0"
STRIKE = b"\0\x90\x3c\x50\x60\x3c\0"  # a note of 96 ticks; then running status goes on


def xml(*measures: str, before: str = "", after: str = "") -> bytes:
    """A score of one part."""
    bars = "".join(f'<measure number="{n}">{m}</measure>' for n, m in enumerate(measures, 1))
    return (
        f"<?xml version='1.0'?>{before}<score-partwise><part-list><score-part id='P1'>"
        f"<part-name>P</part-name></score-part></part-list><part id='P1'>{bars}</part>{after}"
        "</score-partwise>"
    ).encode()


def note(duration: str = "1", more: str = "", step: str = "C", octave: str = "4") -> str:
    """A note element."""
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration>{more}</note>"


def attributes(divisions: str = "1", beats: str = "4", unit: str = "4", fifths: str = "0") -> str:
    """Attributes that begin a measure."""
    return (
        f"<attributes><divisions>{divisions}</divisions><key><fifths>{fifths}</fifths></key><time>"
        f"<beats>{beats}</beats><beat-type>{unit}</beat-type></time></attributes>"
    )


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as target:
        for name, content in members:
            target.writestr(name, content)
    return packed.getvalue()


def container(path: str) -> tuple[str, bytes]:
    """The member of a .mxl that says where its score is."""
    text = f'<container><rootfiles><rootfile full-path="{path}"/></rootfiles></container>'
    return "META-INF/container.xml", text.encode()


def kern(*rows: str, spines: int = 1) -> bytes:
    """Humdrum with the same cell in each of some spines."""
    lines = ["\t".join([row] * spines) for row in ("**kern", *rows, "*-")]
    return "\n".join(lines).encode()


LAUGHS = (
    "<!DOCTYPE a [<!ENTITY a0 'ha'>"
    + "".join(f"<!ENTITY a{n + 1} '{f'&a{n};' * 10}'>" for n in range(12))
    + "]>"
)
EXTERNAL = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
FORWARD = "<forward><duration>{}</duration></forward>"

FILES: dict[str, Callable[[], bytes]] = {
    # any format
    **{f"nothing{suffix}": bytes for suffix in (".abc", ".mid", ".musicxml", ".mxl", ".krn")},
    **{
        f"zeros{suffix}": lambda: bytes(4 * MIB)
        for suffix in (".abc", ".mid", ".musicxml", ".mxl", ".krn")
    },
    "mark.abc": lambda: b"\xef\xbb\xbf",
    "utf16.abc": lambda: (HEAD + "ABcd|").encode("utf-16"),
    "odd-utf16.abc": lambda: b"\xff\xfe" + b"X\0:\0001\0\n\0K",
    "midi-inside.abc": lambda: midi(STRIKE * 500, END),
    # ABC
    "one-line.abc": abc("A" * MIB),
    "notes.abc": abc("ABcd|\n" * 200_000),
    "bar-lines.abc": abc("|" * 49_000 + "\n" + "A|" * 20_000),
    "blank-lines.abc": lambda: b"\n" * (63 * MIB),
    "headings.abc": lambda: b"X:1\n" * MIB,
    "digits.abc": abc("A" + "9" * 40_000 + "|B/" + "9" * 40_000 + "|Z" + "9" * 40_000),
    "long-notes.abc": abc("A99999999 " * 4000),
    "rests.abc": abc("Z999|" * 2000),
    "tuplets.abc": abc("(9999:9999:9999" * 3000 + "A|"),
    "open-chords.abc": abc("[" * 40_000),
    "wide-chord.abc": abc("[" + "ceg" * 15_000 + "]|"),
    "graces.abc": abc("{" + "g" * 40_000 + "}A|"),
    "slurs.abc": abc("(" * 40_000 + "A" + ")" * 40_000),
    "overlays.abc": abc("A&" * 20_000),
    "repeats.abc": abc(("|" + ":" * 400 + "A" + ":" * 400 + "|") * 60),
    "many-repeats.abc": abc("|:A:|" * 9000),
    "endings.abc": abc("|:A|" + "[1-16 B:|" * 4000),
    "ending-list.abc": abc("|:A|[" + "1,2-9," * 6000 + "3 B:|"),
    "ending-range.abc": abc("|:A|[1-999999999 B:|"),
    "da-capo.abc": abc("!segno!A|!D.S.!B|!D.C.!c|" * 3000),
    "parts.abc": abc("P:A\nABcd|\nP:B\nefga|\n", "X:1\nP:(A999(B999)999)999\nK:C\n"),
    "nested-parts.abc": abc("P:A\nABcd|\n", f"X:1\nP:{'(' * 400}A{')9' * 400}\nK:C\n"),
    "long-parts.abc": abc("P:A\nABcd|\n", f"X:1\nP:{'AB' * 20_000}\nK:C\n"),
    "macros.abc": abc("A" * 5000, "X:1\n" + "m:A=AAAAAAAAAA\n" * 64 + "K:C\n"),
    "voices.abc": abc("".join(f"V:{n}\nA|\n" for n in range(5000))),
    "voice-octave.abc": abc("[V:1 octave=-999999999]A|[V:1 octave=99999]c''''''''''''|"),
    "octaves.abc": abc("c" + "'" * 40_000 + "|C" + "," * 40_000),
    "verses.abc": abc("ABcd|\n" + "w:la la la la\n" * 20_000),
    "syllables.abc": abc("A|\nw:" + "a-" * 24_000),
    "words.abc": abc("A|\n" + "W:la\n" * 100_000),
    "titles.abc": abc("A|", "X:1\n" + "T:t\n" * 100_000 + "K:C\n"),
    "key-signs.abc": abc("A|", "X:1\nK:C exp" + " ^a _b" * 8000 + "\n"),
    "meter.abc": abc("A|", "X:1\nM:(" + "3+" * 10_000 + "2)/8\nK:C\n"),
    "meter-huge.abc": abc("A|", "X:1\nM:999/999\nL:1/512\nK:C\n"),
    "tempo.abc": abc("A|", "X:1\nQ:" + "1/4 " * 10_000 + "=9999\nK:C\n"),
    "tempo-zero.abc": abc("A|", "X:1\nQ:1/4=0\nK:C\n"),
    "quotes.abc": abc('"' * 40_001 + "A|"),
    "chord-symbols.abc": abc('"' + "Am7b5" * 8000 + '"A|'),
    "bangs.abc": abc("!trill" * 8000),
    "escapes.abc": abc("A|", "X:1\nT:\x1b]0;owned\x07\x1b[2J\u202eabc\r\x00\nK:C\n"),
    "surrogates.abc": abc("A|", "X:1\nT:\\ud800 \\udfff &#55296; &#0;\nK:C\n"),
    "inline-fields.abc": abc("[K:D][M:3/4][L:1/16][Q:90]" * 1500 + "A|"),
    "open-field.abc": abc("[K:" * 10_000),
    "blocks.abc": abc("%%begintext\n" * 50_000 + "A|"),
    "continuations.abc": abc("T:x\n" + "+:y\n" * 100_000 + "A|"),
    "backslashes.abc": abc("A\\\n" * 50_000),
    "ties.abc": abc("A-" * 20_000),
    "broken.abc": abc("A>" * 20_000),
    "microtones.abc": abc("^3/4A_99999/99999B" * 2000),
    "user-symbols.abc": abc("T" * 40_000 + "A|", "X:1\n" + "U:T=!trill!\n" * 5000 + "K:C\n"),
    # MIDI
    "long-track.mid": lambda: midi(STRIKE, END)[:-20] + b"\xff\xff\xff\xff" + STRIKE,
    "many-tracks.mid": lambda: midi(END, tracks=5000),
    "no-time.mid": lambda: midi(STRIKE, END, division=0),
    "fine-time.mid": lambda: midi(STRIKE * 300, END, division=32767),
    "coarse-time.mid": lambda: midi(STRIKE * 300, END, division=1),
    "frames.mid": lambda: midi(STRIKE * 300, END, division=0xE764),
    "odd-frames.mid": lambda: midi(STRIKE, END, division=0x8000),
    "type-9.mid": lambda: midi(STRIKE, END, kind=9),
    "patterns.mid": lambda: midi(STRIKE * 40, END, kind=2, tracks=1000),
    "wrap.mid": lambda: midi(b"\xff\xff\xff\x7f\x90\x3c\x50\xff\xff\xff\x7f\x3c\0" * 40, END),
    "far-note.mid": lambda: midi(b"\x8a\xdd\x80\x00\x90\x3c\x50\x60\x3c\0", END, division=480),
    "long-delta.mid": lambda: midi(b"\xff\xff\xff\xff\x7f\x90\x3c\x50", END),
    "hanging.mid": lambda: midi(b"\0\x90" + b"\x3c\x50\x01" * 150_000, END),
    "hanging-all.mid": lambda: midi(
        b"".join(b"\0" + bytes((0x90 | c, p, 80)) for c in range(16) for p in range(128)), END
    ),
    "chord.mid": lambda: midi(
        b"\0\x90" + b"\x3c\x50\0" * 60_000, b"\x3c\x3c\0" + b"\0\x3c\0" * 59_999, END
    ),
    "same-time.mid": lambda: midi(
        b"".join(b"\0" + bytes((0x90, p % 128, 80)) for p in range(60_000)),
        b"".join(bytes((int(p == 0), 0x80, p % 128, 0)) for p in range(60_000)),
        END,
    ),
    "notes.mid": lambda: midi(STRIKE * 100_000, END),
    "too-many-notes.mid": lambda: midi(STRIKE * 500_000, END),
    "short-notes.mid": lambda: midi(b"\0\x90\x3c\x50\0\x3c\0" * 20_000, END),
    "tempo-0.mid": lambda: midi(b"\0\xff\x51\3\0\0\0", STRIKE * 20, END),
    "tempos.mid": lambda: midi(b"\1\xff\x51\3\1\2\3" * 200_000, STRIKE * 20, END),
    "meters.mid": lambda: midi(b"\1\xff\x58\4\7\3\x18\x08" * 200_000, STRIKE * 20, END),
    "meter-0.mid": lambda: midi(b"\0\xff\x58\4\0\xff\0\0", STRIKE * 20, END),
    "keys.mid": lambda: midi(b"\1\xff\x59\2\x7f\x01\1\xff\x59\2\x80\x09" * 100_000, STRIKE, END),
    "lyrics.mid": lambda: midi(STRIKE * 200, b"\0\xff\5\4\x1b[2J" * 100_000, END),
    "name.mid": lambda: midi(b"\0\xff\3\x7f" + b"\x1b[2J\n\r\0" * 18 + b"x", STRIKE, END),
    "long-name.mid": lambda: midi(b"\0\xff\3\x83\xff\x7f" + b"x" * 65535, STRIKE * 20, END),
    "sysex.mid": lambda: midi(b"\0\xf0\xff\xff\xff\x7f", STRIKE, END),
    "running.mid": lambda: midi(b"\0\x3c\x50", STRIKE, END),
    "real-time.mid": lambda: midi(b"\0\xf8\0\xfe\0\xf1\1", STRIKE, END),
    "no-end.mid": lambda: midi(STRIKE * 20),
    "riff.mid": lambda: b"RIFF\xff\xff\xff\xffRMIDdata\xff\xff\xff\xff" + midi(STRIKE * 20, END),
    "bends.mid": lambda: midi(b"\1\xe0\x7f\x7f" * 200_000, b"\0\x90\x3c\x50\x60\x3c\0" * 20, END),
    # MusicXML
    "laughs.musicxml": lambda: xml(note(), before=LAUGHS),
    "external.musicxml": lambda: xml(note(more="&x;"), before=EXTERNAL),
    "dtd.musicxml": lambda: xml(note(), before="<!DOCTYPE a SYSTEM 'http://localhost:1/a.dtd'>"),
    "deep.musicxml": lambda: b"<score-partwise>" + b"<a>" * 500_000 + b"</a>" * 500_000,
    "deep-note.musicxml": lambda: xml(note(more="<notations>" * 9000 + "</notations>" * 9000)),
    "wide.musicxml": lambda: b"<score-partwise>" + b"<a/>" * 5_000_000 + b"</score-partwise>",
    "attributes.musicxml": lambda: b"<a " + b"".join(b"b%d='' " % n for n in range(9**6)) + b"/>",
    "long-text.musicxml": lambda: xml(note(more=f"<lyric><text>{'x' * 5 * MIB}</text></lyric>")),
    "comment.musicxml": lambda: xml(note(), before="<!--" + "x" * 10 * MIB + "-->"),
    "measures.musicxml": lambda: xml(*["<note><rest/><duration>4</duration></note>"] * 60_000),
    "notes.musicxml": lambda: xml(attributes(), *[note() * 40] * 2000),
    "chord.musicxml": lambda: xml(attributes() + note() + note(more="<chord/>") * 30_000),
    "divisions-0.musicxml": lambda: xml(attributes("0") + note()),
    "divisions-huge.musicxml": lambda: xml(attributes("9" * 4000) + note("9" * 4000)),
    "duration-huge.musicxml": lambda: xml(attributes() + note("9" * 30)),
    "duration-exponent.musicxml": lambda: xml(attributes() + note("1e999999999")),
    "forward.musicxml": lambda: xml(attributes() + FORWARD.format(10**12) + note()),
    "forwards.musicxml": lambda: xml(attributes() + FORWARD.format(10**6) * 1000 + note()),
    "backup.musicxml": lambda: xml(
        attributes() + note() + "<backup><duration>999999999</duration></backup>" + note()
    ),
    "voices.musicxml": lambda: xml(
        attributes() + "".join(note(more=f"<voice>{n}</voice>") for n in range(5000))
    ),
    "staves.musicxml": lambda: xml(
        attributes() + "<attributes><staves>999999999</staves></attributes>" + note()
    ),
    "octave.musicxml": lambda: xml(attributes() + note(octave="9" * 20)),
    "fifths.musicxml": lambda: xml(attributes(fifths="-999999999") + note()),
    "beats.musicxml": lambda: xml(attributes(beats="9" * 12, unit="7") + note()),
    "repeats.musicxml": lambda: xml(
        *[note() + '<barline><repeat direction="backward" times="99999999"/></barline>'] * 40
    ),
    "endings.musicxml": lambda: xml(
        *['<barline><ending number="1-99999999" type="start"/></barline>' + note()] * 40
    ),
    "tuplet-0.musicxml": lambda: xml(
        attributes() + note(more="<time-modification><actual-notes>0</actual-notes>"
                                 "<normal-notes>0</normal-notes></time-modification>")
    ),
    "grace-only.musicxml": lambda: xml("<note><grace/><pitch><step>C</step></pitch></note>" * 9000),
    "transpose.musicxml": lambda: xml(
        "<attributes><transpose><chromatic>999999</chromatic></transpose></attributes>" + note()
    ),
    "parts.musicxml": lambda: (
        b"<score-partwise>" + b"<part><measure><note/></measure></part>" * 50_000
        + b"</score-partwise>"
    ),
    "title.musicxml": lambda: xml(note(), after="<movement-title>&#10;&#x202e;a</movement-title>"),
    # compressed MusicXML
    "bomb.mxl": lambda: archive(container("a.xml"), ("a.xml", bytes(200 * MIB))),
    "nested.mxl": lambda: archive(container("a.xml"), ("a.xml", archive(("a.xml", xml(note()))))),
    "climbing.mxl": lambda: archive(container("../../a.xml"), ("../../a.xml", xml(note()))),
    "absolute.mxl": lambda: archive(container("/etc/passwd"), ("/etc/passwd", xml(note()))),
    "link.mxl": lambda: archive(container("file:///etc/passwd"), ("a.xml", xml(note()))),
    "no-container.mxl": lambda: archive(("a.musicxml", xml(attributes() + note() * 4))),
    "container-bomb.mxl": lambda: archive(("META-INF/container.xml", bytes(50 * MIB))),
    "members.mxl": lambda: archive(*((f"{n}.xml", b"") for n in range(20_000))),
    "packed-otherwise.mxl": lambda: archive(("a.xml", xml(note())), method=zipfile.ZIP_LZMA),
    "laughs.mxl": lambda: archive(("a.xml", xml(note(), before=LAUGHS))),
    "not-a-zip.mxl": lambda: b"PK\3\4" + bytes(1000),
    "a-score.mxl": lambda: xml(attributes() + note() * 4),
    # kern
    "spines.krn": lambda: kern("4c", spines=2000),
    "splits.krn": lambda: b"**kern\n" + b"".join(
        b"\t".join([b"*^"] * 2**n) + b"\n" for n in range(12)
    ),
    "bars.krn": lambda: kern(*["="] * 500_000),
    "wide-bars.krn": lambda: kern(*["=", "4c"] * 8000, spines=60),
    "notes.krn": lambda: kern("*M4/4", *["4c", "4d", "4e", "4f", "="] * 12_000),
    "chord.krn": lambda: kern("4c " * 20_000),
    "signs.krn": lambda: kern("4c" + "'" * 40_000 + "#" * 40_000),
    "length-0.krn": lambda: kern("0c", "000c", "0000c", "4%0c", "9999%9999c", "00000000c"),
    "dots.krn": lambda: kern("4" + "." * 40_000 + "c"),
    "octaves.krn": lambda: kern("4" + "c" * 40_000, "4" + "C" * 40_000),
    "ties.krn": lambda: kern(*["[4c"] * 20_000),
    "tempo.krn": lambda: kern("*MM0", "*MM" + "9" * 5000, "4c"),
    "meter.krn": lambda: kern("*M0/0", "*M99999/99999", "*M3/0", "4c"),
    "key.krn": lambda: kern("*k[" + "f#" * 9000 + "]", "4c"),
    "joins.krn": lambda: kern("*v", "*v", "*x", "*x", "4c"),
    "records.krn": lambda: b"!!!OTL: \x1b[2J\n" * 200_000 + kern("4c"),
}  # fmt: skip
