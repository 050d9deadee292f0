"""Files to spoil, ways to spoil them, and everything that a user may do with the result.

A mutation is a function of a random generator, so that a seed gives the same files again.
`examine` does with a file what the commands do and says what is wrong with the program, if
anything: any exception but our own, and any message of ours that is not one plain line.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from musicgen import formats
from musicgen.errors import MusicgenError, printable
from musicgen.formats.abc_notation import parse_text
from musicgen.music.playback import timeline, unfold
from musicgen.music.similarity import Melody
from musicgen.music.tune import Tune
from musicgen.music.validation import fix, validate
from musicgen.tokens.languages import LANGUAGES
from tests import DATA
from tests.pieces import CHORALE, SONG

RICH = """X:7
T:The Rich\\'e One
C:Trad. & "others"
R:jig
M:6/8
L:1/8
Q:"Lively" 3/8=120
P:A2B
U:W=!trill!
m:~n2 = {o}n{m}n
K:Ador clef=treble
%%MIDI program 73
P:A
|:"Am"A>B c/d/e (3fga|[CEG]2- [CEG] {/B}c2 z|1 !fermata!A3 Z:|2 (A3- A3)||
w:one two-three four_ * | five~six se\\-ven
P:B
[K:D][M:3/4][Q:1/4=90]~f2 .g T^a_b=c'|D,,2 & F2 "^slow" x4|:d6::e6:|
r:a remark
[V:2] A3 B3|c6|]
W:Words at the end
"""
KERN = """!!!OTL: A piece
!!!COM: Anonymous
**kern\t**text\t**kern\t**dynam
*clefF4\t*\t*clefG2\t*
*k[f#]\t*\t*k[f#]\t*
*G:\t*\t*G:\t*
*M3/4\t*\t*M3/4\t*
*MM120\t*\t*MM120\t*
=1-\t=1-\t=1-\t=1-
4G\tla-\t8g\tp
.\t.\t8aL\t.
4D\tle\t12b 12dd\t<
.\t.\t12cc#\t.
.\t.\t12dd\t.
2G;\tlu\tqe 4g[\tf
=2:|!\t=2:|!\t=2:|!\t=2:|!
*\t*\t*^\t*
2.GG\t.\t4.g]\t2.b-\t.
.\t.\t4.r\t.\t.
*\t*\t*v\t*v\t*
==\t==\t==\t==
*-\t*-\t*-\t*-
"""
_ABC = """|: :| :: || |] [1 [2 |1 ( ) { } {/ [ ] & ! !trill! + " - > < >> (3 (9:2:7 Z99 x z y
A,,, c''' ^^f __b =g A9999 B/1024 c1000000/3 [K:C#] [M:0/4] [L:1/0] [V:9] [P:A9(B9)9] $ `"""
_ABC_LINES = """K: X:1 M:99/128 L:9/1 Q:1/4=0 P:A99B w:a-b_*| V:2 m:n=gng U:n=! M:none K:D
%%begintext %%endtext +:more P:A"""
_XML = """<note> </note> <chord/> <grace/> <rest/> <backup> <forward> <measure> </measure>
&#0; <duration>0</duration> <duration>-4</duration> <divisions>0</divisions> <octave>99</octave>
<divisions>999999999</divisions> <alter>1e9</alter> <fifths>99</fifths> <beats>0</beats> <!--
<beat-type>3</beat-type> <![CDATA[x]]> <actual-notes>0</actual-notes> <transpose>
<voice>9999999999</voice>"""
_KERN = """*^ *v *- *x *+ **kern **text *MM0 *M0/0 *M3/0 =1 =:|! == . 4c 0c 000c 4%0c 99%7d [ ] _
{ } q qq 4....c 4cccccccccccc 4c### 4c---- *k[] *k[f#c#g#d#a#e#b#] *C: !!! ! *>[A,A,B] *clefX
*ITrd-99c-99"""
_ANY = ("\x1b[2J", "\u202e", "\ufeff", "\0", "\u00e9", "\n", "\n\n", " ", "\t")
WORDS = {
    ".abc": (*_ABC.split(), *(f"\n{line}\n" for line in _ABC_LINES.split()), "\nT:a\x07b\n", *_ANY),
    ".musicxml": (
        *_XML.split(),
        "<!DOCTYPE a [<!ENTITY b 'c'>]>",
        "<?xml version='1.0'?>",
        '<repeat direction="backward" times="9999"/>',
        '<ending number="1-99" type="start"/>',
        *_ANY,
    ),
    ".krn": (*_KERN.split(), "\t\t\t", *_ANY),
}
NUMBERS = ("0", "-1", "1", "2", "7", "255", "65536", "999999", "2147483648", "9" * 25, "1e9", "nan")
BYTES = (0, 1, 0x20, 0x7F, 0x80, 0xFF, 0x90, 0xF0, 0x2F)


@cache
def seeds(suffix: str) -> tuple[bytes, ...]:
    """Sound files of a format."""
    abc = (
        RICH,
        CHORALE,
        SONG,
        *(p.read_text("utf-8") for p in DATA.glob("*.abc")),
    )
    tunes = [tune for text in abc for tune in parse_text(text).tunes]
    match suffix:
        case ".abc":
            return tuple(text.encode() for text in abc)
        case ".krn":
            return (KERN.encode(),)
        case ".mid":
            written = [formats.rendered([tune], ".mid") for tune in tunes]
            patterns = bytearray(written[1])
            patterns[9] = 2  # type 2: each track a piece of its own
            frames = bytearray(written[0])
            frames[12:14] = b"\xe7\x28"  # 25 frames a second of 40 ticks
            running = b"\0\x90\x3c\x50\x60\x3c\0\0\x3e\x50\x83\x60\x3e\0\0\xff\x2f\0"
            single = b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk" + len(running).to_bytes(4) + running
            return (*written, bytes(patterns), bytes(frames), single)
        case _:
            return tuple(formats.rendered([tune], suffix) for tune in tunes)


def _spoil_bytes(data: bytearray, rng: random.Random, other: bytes) -> None:
    """One change that knows nothing of the format."""
    place = rng.randrange(len(data) + 1)
    match rng.randrange(8):
        case 0 if data:
            data[place % len(data)] ^= 1 << rng.randrange(8)
        case 1 if data:
            data[place % len(data)] = rng.choice(BYTES)
        case 2:
            del data[place : place + rng.randint(1, 40)]
        case 3:
            data[place:place] = rng.randbytes(rng.randint(1, 12))
        case 4:
            begin = rng.randrange(len(other) + 1)
            data[place:place] = other[begin : begin + rng.randint(1, 200)]
        case 5:
            begin = rng.randrange(len(data) + 1)
            data[place:place] = data[begin : begin + rng.randint(1, 80)] * rng.randint(1, 60)
        case 6:
            size = rng.choice((1, 2, 4))
            data[place : place + size] = rng.choice((0, 1, 2**31, 2**32 - 1)).to_bytes(4)[-size:]
        case _:
            del data[place:]


def _spoil_text(data: bytearray, rng: random.Random, words: tuple[str, ...]) -> None:
    """One change made of what the format is made of."""
    text = bytes(data)
    match rng.randrange(5):
        case 0 | 1:
            place = rng.randrange(len(text) + 1)
            data[place:place] = rng.choice(words).encode() * rng.choice((1, 1, 1, 2, 50))
        case 2:
            found = list(re.finditer(rb"\d+", text))
            if found:
                start, stop = rng.choice(found).span()
                data[start:stop] = rng.choice(NUMBERS).encode()
        case 3:
            lines = text.splitlines(keepends=True) or [b""]
            chosen = rng.randrange(len(lines))
            lines[chosen : chosen + rng.randint(0, 2)] = [rng.choice(lines)] * rng.randint(0, 40)
            data[:] = b"".join(lines)
        case _:
            pieces = re.split(rb"(?<=[>|\t])", text)
            a, b = rng.randrange(len(pieces)), rng.randrange(len(pieces))
            pieces[a], pieces[b] = pieces[b], pieces[a]
            data[:] = b"".join(pieces)


def spoil(suffix: str, data: bytearray, rng: random.Random, other: bytes = b"") -> None:
    """One change, made of what the format is made of where that is known."""
    words = WORDS.get(suffix)
    if words is not None and rng.random() < 0.7:
        _spoil_text(data, rng, words)
    else:
        _spoil_bytes(data, rng, other or bytes(data))


def mutated(suffix: str, rng: random.Random) -> bytes:
    """A sound file of the format with up to a dozen changes."""
    if suffix == ".mxl" and rng.random() < 0.7:
        return _mutated_archive(rng)
    data = bytearray(rng.choice(seeds(suffix)))
    other = rng.choice(seeds(rng.choice((suffix, suffix, ".abc", ".mid"))))
    for _ in range(rng.choice((1, 1, 2, 3, 6, 12))):
        spoil(suffix, data, rng, other)
        del data[1 << 20 :]  # a file of one line may have grown forty times
    return bytes(data)


def _mutated_archive(rng: random.Random) -> bytes:
    """A .mxl whose parts were changed before they were packed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(
        packed, "w", rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))
    ) as archive:
        name = rng.choice(
            ("score.xml", "../../score.xml", "/etc/score.xml", "a\x1b.xml", "é.musicxml")
        )
        container = f'<container><rootfiles><rootfile full-path="{name}"/></rootfiles></container>'
        for member, content in (
            ("META-INF/container.xml", container.encode("utf-8", "replace")),
            (name, mutated(".musicxml", rng)),
        ):
            if rng.random() < 0.1:
                content = bytes(rng.randbytes(20))
            if rng.random() < 0.95:
                archive.writestr(member, content)
    data = bytearray(packed.getvalue())
    if rng.random() < 0.3:
        _spoil_bytes(data, rng, data)
    return bytes(data)


def mutated_folder(files: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    """The files of a model or token folder, one of them changed, left out or emptied; the hashes
    of a manifest often made to fit, as a forger would."""
    changed = dict(files)
    name = rng.choice(sorted(files))
    data = bytearray(files[name])
    match rng.randrange(8):
        case 0:
            del changed[name]
        case 1:
            changed[name] = b""
        case _:
            words = ("0", "null", "[]", "{}", '"x"', "1e999", "-1", "[" * 5000, "\\ud800", "NaN")
            for _ in range(rng.choice((1, 1, 2, 4))):
                if name.endswith((".json", ".md")) and rng.random() < 0.7:
                    _spoil_text(data, rng, words)
                else:
                    _spoil_bytes(data, rng, data)
            changed[name] = bytes(data)
    if rng.random() < 0.7 and "manifest.json" in changed and name != "manifest.json":
        manifest = json.loads(files["manifest.json"])
        if name in changed:
            manifest["sha256"][name] = hashlib.sha256(changed[name]).hexdigest()
        changed["manifest.json"] = json.dumps(manifest).encode()
    return changed


# --- what a user may do with them -------------------------------------------------------------


def use_tunes(path: Path, *, all_voices: bool = False) -> Iterator[Callable[[], object]]:
    """Read a file, and everything that can be done with each of its tunes."""
    reading = formats.scan(path, all_voices=all_voices)
    for tune in reading.tunes:
        yield from _uses(tune)


def _uses(tune: Tune) -> Iterator[Callable[[], object]]:
    yield lambda: validate(tune)
    yield lambda: fix(tune)
    yield lambda: timeline(tune)
    yield lambda: unfold(tune)
    for suffix in (".abc", ".mid", ".musicxml"):
        yield lambda suffix=suffix: formats.rendered([tune], suffix)
    for language in LANGUAGES.values():
        yield lambda language=language: language.encode(tune)
    yield lambda: Melody.of(tune)


def examine(path: Path, uses: Iterator[Callable[[], object]]) -> str:
    """What is wrong with how a file is dealt with; "" when it is read or refused as promised."""
    try:
        for use in uses:
            try:
                use()
            except MusicgenError as error:
                if complaint := _not_plain(str(error)):
                    return complaint
    except MusicgenError as error:
        text = str(error)
        if not text.startswith(printable(str(path))):
            return f"the refusal does not name the file: {text[:200]!r}"
        return _not_plain(text)
    return ""


def _not_plain(message: str) -> str:
    if message != printable(message):
        return f"a message is not one plain line: {message[:200]!r}"
    if len(message) > 1000:
        return f"a message has {len(message)} characters: {message[:200]!r}"
    return ""
