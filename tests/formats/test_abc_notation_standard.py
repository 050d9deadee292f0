"""The ABC standard 2.1, section by section: every legal feature is read, and as it is meant.

Each row is a section, music in that section's notation (a whole tune where it begins with "X:"),
and what is heard: notes as MIDI number, ":" and length in quarters; "" where only reading counts.
No row may be refused or read with a warning.
"""

from __future__ import annotations

import pytest

from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.playback import timeline
from musicgen.music.tune import Reading

HEAD = "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n"
CDEF = "60:1 62:1 64:1 65:1"


def read(text: str) -> Reading:
    return parse_text(text if text.startswith(("X:", "%abc")) else f"{HEAD}{text}\n")


def heard(reading: Reading) -> str:
    return " ".join(
        f"{note.midi}:{note.duration}"
        for tune in reading.tunes
        for note in timeline(tune).notes
    )  # fmt: skip


DECORATIONS = """trill trill( trill) lowermordent uppermordent mordent pralltriller roll turn turnx
invertedturn invertedturnx arpeggio > accent emphasis fermata invertedfermata tenuto 0 1 2 3 4 5 +
plus snap slide wedge upbow downbow open thumb breath pppp ppp pp p mp mf f ff fff ffff sfz
crescendo( <( crescendo) <) diminuendo( >( diminuendo) >) segno coda D.S. D.C. dacoda dacapo fine
shortphrase mediumphrase longphrase"""

READ = [
    # 2: files
    ("2.1 a tune in the middle of text", "X:1\nT:t\nL:1/4\nK:C\nCDEF|\n\nfree text, unread\n",
     CDEF),
    ("2.2 version line", "%abc-2.1\n\nX:1\nT:t\nL:1/4\nK:C\nCDEF|\n", CDEF),
    ("2.2.2 file header", "%abc-2.1\nM:4/4\nL:1/4\nC:Trad.\n\nX:1\nT:t\nK:C\nCDEF|\n", CDEF),
    ("2.2.3 numbers of tunes", "X:9\nT:a\nL:1/4\nK:C\nC|\n\nX:3\nT:b\nL:1/4\nK:C\nD|\n",
     "60:1 62:1"),
    ("2.2.4 typeset text", "%%begintext\nwords | words\n%%endtext\nCDEF|", CDEF),
    ("2.2.4 free text in between", "X:1\nT:t\nL:1/4\nK:C\nCDEF|\n\n%%text hello\n", CDEF),
    ("2.2.5 remarks", "CD EF | % a comment\n% a line of it\n[r: and a remark]CDEF|",
     f"{CDEF} {CDEF}"),
    ("2.2.6 continued lines", "CD\\\nEF|", CDEF),
    ("2.2.6 a field continued by +:", "CDEF|\nw:one two\n+:three four", CDEF),
    ("2.2.7 line breaks by !", "X:1\nT:t\nL:1/4\nI:linebreak !\nK:C\nCD!EF|\n", CDEF),
    ("2.2.7 line breaks by $", "X:1\nT:t\nL:1/4\nI:linebreak $\nK:C\nCD$EF|\n", CDEF),
    ("2.2.7 no line breaks", "X:1\nT:t\nL:1/4\nI:linebreak <none>\nK:C\nCD\nEF|\n", CDEF),
    # 3: information fields
    ("3.1 every field of a heading", "\n".join((
        "X:1", "T:Title", "T:Another", "A:Area", "B:Book", "C:Composer", "D:Disc", "F:http://f",
        "G:group", "H:History", "H:more", "I:abc-charset utf-8", "L:1/4", "M:4/4", "m:~n3=n{o}n",
        "N:Notes", "O:Ireland; Clare", "P:A", "Q:1/4=100", "R:reel", "r:remark", "S:Source",
        "U:T=!trill!", "V:1", "W:words", "Z:abc-transcription me", "K:C", "P:A", "CDEF|",
    )), CDEF),
    ("3.1.6 meter C", "[M:C]CDEF|", CDEF),
    ("3.1.6 meter C|", "[M:C|]CDEF|", CDEF),
    ("3.1.6 no meter", "[M:none]CDEF|", CDEF),
    ("3.1.6 complex meters", "[M:2+3+2/8]C/D/E/F/G/A/B/|[M:(2+3)/8]C/D/E/F/G/|", ""),
    ("3.1.7 unit by the meter", "X:1\nM:2/4\nK:C\nCDEF|\n", "60:1/4 62:1/4 64:1/4 65:1/4"),
    ("3.1.7 unit without a meter", "X:1\nK:C\nCDEF|\n", "60:1/2 62:1/2 64:1/2 65:1/2"),
    ("3.1.8 tempos", 'X:1\nL:1/4\nQ:"Allegro" 1/4=120\nK:C\nCD[Q:3/8=50]E[Q:1/4 3/8 1/4=40]F|\n',
     CDEF),
    ("3.1.8 tempo in words", 'X:1\nL:1/4\nQ:"Andante"\nK:C\nCDEF|\n', CDEF),
    ("3.1.8 old tempos", "X:1\nL:1/4\nQ:120\nK:C\nCDEF|\n\nX:2\nL:1/4\nQ:C=120\nK:C\nC|\n",
     f"{CDEF} 60:1"),
    ("3.1.9 order of parts", "X:1\nL:1/4\nP:A(BA)2\nK:C\nP:A\nC|\nP:B\nD|\n",
     "60:1 62:1 60:1 62:1 60:1"),
    ("3.1.14 major and minor", "[K:G]F|[K:Em]F|[K:E minor]F|[K:Gmaj]F|", "66:1 66:1 66:1 66:1"),
    ("3.1.14 modes", "[K:DDor]F|[K:D Mix]C|[K:Aphr]B|[K:FLyd]B|[K:BLoc]F|[K:CIonian]F|[K:Aaeo]G|",
     "65:1 60:1 70:1 71:1 65:1 65:1 67:1"),
    ("3.1.14 accidentals of a key", "[K:D Phr ^f]F|[K:D =c]C|[K:D exp _b ^f]BFC|",
     "66:1 60:1 70:1 66:1 60:1"),
    ("3.1.14 no key", "X:1\nL:1/4\nK:none\nCDEF|\n\nX:2\nL:1/4\nK:\nC|\n", f"{CDEF} 60:1"),
    ("3.1.14 bagpipes", "X:1\nL:1/4\nK:HP\nFC|\n\nX:2\nL:1/4\nK:Hp\nFC|\n", "66:1 61:1 66:1 61:1"),
    ("3.2 fields inside the tune", "CD[M:3/4][L:1/8][K:F][P:x][N:n]B|\nM:4/4\nL:1/4\nB|",
     "60:1 62:1 70:1/2 70:1"),
    ("3.3 fields in brackets", "[I:staff 1]CD[r:r]EF|", CDEF),
    # 4: music
    ("4.1 pitch", "C,, C, C c c' c''|", "36:1 48:1 60:1 72:1 84:1 96:1"),
    ("4.1 marks that cancel", "C,' c',|", "60:1 72:1"),
    ("4.2 accidentals", "^C _D =E ^^F __G|C|", "61:1 61:1 64:1 67:1 65:1 60:1"),
    ("4.2 to the end of the bar, in all octaves", "^CC c|C|", "61:1 61:1 73:1 60:1"),
    ("4.3 lengths", "C C2 C3/2 C/2 C/ C// C3/4 C15/8|",
     "60:1 60:2 60:3/2 60:1/2 60:1/2 60:1/4 60:3/4 60:15/8"),
    ("4.4 broken rhythm", "C>D E<F|C>>D E<<F|C>>>D|",
     "60:3/2 62:1/2 64:1/2 65:3/2 60:7/4 62:1/4 64:1/4 65:7/4 60:15/8 62:1/8"),
    ("4.5 rests", "z C z2 x D x/2|", "60:1 62:1"),
    ("4.5 rests of whole bars", "Z|Z2|X3|C4|", "60:4"),
    ("4.6 clefs and transposition",
     "X:1\nL:1/4\nK:C clef=bass\nC,|\n[K:C treble-8]C|[K:clef=alto middle=C]C|\n",
     "48:1 48:1 60:1"),
    ("4.7 beams and back quotes", "C/`D/``E/F/|", "60:1/2 62:1/2 64:1/2 65:1/2"),
    ("4.8 bar lines", "C|D||E|]F[|C.|D[|]E|F|]", f"{CDEF} {CDEF}"),
    ("4.8 repeats", "|:C:|:D:|[|:E:|]", "60:1 60:1 62:1 62:1 64:1 64:1"),
    ("4.8 double repeats", "|:C::D:|", "60:1 60:1 62:1 62:1"),
    ("4.8 three times", "|::C::|", "60:1 60:1 60:1"),
    ("4.8 without an opening", "CD:|", "60:1 62:1 60:1 62:1"),
    ("4.9 endings", "|:C|1D:|2E|]", "60:1 62:1 60:1 64:1"),
    ("4.9 endings in brackets", "|:C|[1D:|[2E|]", "60:1 62:1 60:1 64:1"),
    ("4.10 lists of endings", "|:C|[1,3D:|[2E:|[4F|]", "60:1 62:1 60:1 64:1 60:1 62:1 60:1 65:1"),
    ("4.10 ranges of endings", "|:C|[1-2D:|[3E|]", "60:1 62:1 60:1 62:1 60:1 64:1"),
    ("4.11 ties", "C-C|D-|D2|[CE]-[CE]|", "60:2 62:3 60:2 64:2"),
    ("4.11 slurs", "(CD) (E(F)C) .(DE)|", ""),
    ("4.12 grace notes", "{c}C{/d}D{cde}E{c2d}F|", CDEF),
    ("4.13 tuplets", "(3CDE (2CD|(4CDEF (5CDEFG|(6CDEFGA|(7CDEFGAB (8CDEFGABc|(9CDEFGABcd|", ""),
    ("4.13 triplets are heard", "(3CDE F|", "60:2/3 62:2/3 64:2/3 65:1"),
    ("4.13 general tuplets", "(3:2:2 C2D E|(3::C D E|(5:4:5CDEFG|(3:2CDE|", ""),
    ("4.14 short decorations", ".C~DHELF|MCODPERF|SCTDuEvF|", f"{CDEF} {CDEF} {CDEF}"),
    ("4.14 every long decoration", "".join(f"!{n}!C " for n in DECORATIONS.split()) + "|", ""),
    ("4.14 the older +signs+", "X:1\nL:1/4\nI:decoration +\nK:C\n+trill+CDEF|\n", CDEF),
    ("4.15 symbol lines", "CDEF|\ns:!pp! * !f! *", CDEF),
    ("4.16 redefined symbols", "X:1\nL:1/4\nU:W=!trill!\nU:~=nil\nK:C\nWC~DEF|\n", CDEF),
    ("4.17 chords", "[CEG]2 [C2E2G2] [CE]/ C|", "60:2 64:2 67:2 60:2 64:2 67:2 60:1/2 64:1/2 60:1"),
    ("4.17 with everything", '(3[CE][DF][EG] "C"!f!{c}[CEG]-[CEG]>[DF]|', ""),
    ("4.18 chord symbols", '"C"C"Am7"D"G/B"E"F#m7b5"F|', CDEF),
    ("4.19 annotations", '"^above"C"_below"D"<left"E">right"F"@3,4 free"C|', f"{CDEF} 60:1"),
    ("4.20 order of constructs", '"Am""^x"!f!{c}.^C,3/2-^C,|', "49:5/2"),
    # 5: lyrics
    ("5.1 words under notes", "CDEF|CD|\nw:syll-a * _|a~b c\\-d", f"{CDEF} 60:1 62:1"),
    ("5.1 verses", "CDEF|\nw:1.~one two three four\nw:2.~uno due tre quat-", CDEF),
    ("5.2 numbers", "CDEF|\nw:1 2 3 4\nW:all the words\nW:\nW:more", CDEF),
    # 6: typesetting and playing
    ("6.1.1 line breaks", "CD\nEF|", CDEF),
    ("6.2 grace and dynamics", "!p!C!crescendo(!D!crescendo)!E!f!F|", CDEF),
    # 7: voices
    ("7.1 properties",
     'X:1\nL:1/4\nV:T1 name="Tenore I" snm="T.I" clef=treble-8 stem=up\nK:C\n[V:T1]CDEF|\n',
     "48:1 50:1 52:1 53:1"),
    ("7.1 voices in lines", "V:1\nCD|\nV:2\nEF|", "60:1 64:1 62:1 65:1"),
    ("7.1 voices in brackets", "[V:1]CD|\n[V:2]EF|\n", "60:1 64:1 62:1 65:1"),
    ("7.2 breaking lines", "[V:1]CD|\n[V:2]E-|\n[V:1]E|\n[V:2]E|\n", ""),
    ("7.3 inline", "[V:1]C|[V:2]D|[V:1]E|", ""),
    ("7.4 overlay", "CDEF & c4|", "60:1 72:4 62:1 64:1 65:1"),
    # 8: text
    ("8.2 accents",
     "X:1\nT:Caf\\'e &eacute; \\u00e9 \\\"u \\/o \\ss \\~n &amp; \\% \\\\\nL:1/4\nK:C\nCDEF|\n",
     CDEF),
    # 9: macros
    ("9.1 static macros", "X:1\nL:1/4\nm:~C2=CD\nK:C\n~C2EF|\n", CDEF),
    ("9.2 transposing macros", "X:1\nL:1/4\nm:~n2=n/o/n\nK:C\n~C2|\n", "60:1/2 62:1/2 60:1"),
    # 11: directives
    ("11 directives", "%%pagewidth 20cm\nCDEF|\n%%vskip 1cm\n%%newpage\nCDEF|\n%%sep",
     f"{CDEF} {CDEF}"),
    ("11.3 accidentals in all octaves",
     "X:1\nL:1/4\nI:propagate-accidentals octave\nK:C\n^Cc C|\n",
     "61:1 72:1 61:1"),
    ("11.3 accidentals of one note", "X:1\nL:1/4\nI:propagate-accidentals not\nK:C\n^CC|\n",
     "61:1 60:1"),
    ("11.4 instruments", "X:1\nL:1/4\n%%MIDI program 40\n%%MIDI channel 2\nK:C\nCDEF|\n", CDEF),
    # 10 and 12: older habits
    ("10 chords in plus signs", "+C2E2+|", "60:2 64:2"),
    ("12 stray blanks and line ends", "C D  E   F |  \r\n", CDEF),
]  # fmt: skip


@pytest.mark.parametrize(("section", "text", "expected"), READ, ids=[row[0] for row in READ])
def test_a_legal_feature_is_read_as_it_is_meant(section: str, text: str, expected: str) -> None:
    assert section
    reading = read(text)
    assert reading.tunes
    assert not reading.rejected
    if expected:
        assert heard(reading) == expected
    assert not [warning.what for tune in reading.tunes for warning in tune.warnings]
    for tune in reading.tunes:
        assert heard(read(to_abc(tune))) == heard(Reading((tune,), ()))


def test_symbols_of_a_line_belong_to_the_notes_above_it() -> None:
    text = 'CD|EF|\nw:a b c d\ns:!pp! * | "Am" "^slow" !f!\nG|\ns:+trill+ x'
    (tune,) = read(text).tunes
    notes = [event for bar in tune.bars for event in bar.timed]
    assert [note.marks.decorations for note in notes] == [("pp",), (), (), (), ("trill",)]
    assert [note.marks.chord_symbol for note in notes] == ["", "", "Am", "", ""]
    assert notes[3].marks.annotations == ("^slow",)
    assert [w.what for w in tune.warnings] == [
        "1 symbols more than notes; left out",
        "'x' in s: is no symbol; left out",
    ]
