"""The grammar of pieces in parts: whatever a network would like, what comes out adds up."""

from __future__ import annotations

import numpy as np
import pytest

from musicgen.composer import PolyphonicComposer
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ControlError
from musicgen.tokens.remi.encoding import encode, parse_token
from musicgen.tokens.remi.grammar import FEATURE_SIZES, PieceConstraint, PieceState, trace
from musicgen.tokens.remi.pieces import ROLES, Piece, bar_lines, piece_of
from musicgen.tokens.remi.voice_leading import ends_on_triad, voice_leading
from musicgen.tokens.vocabulary import BOS, EOS, Vocabulary
from tests.pieces import CHOIR_PARTS, CHORALE, SONG, SONG_PARTS, tune, untrained


def assert_sound(piece: Piece) -> None:
    """Everything that the grammar promises of a finished piece."""
    end = bar_lines(piece)[-1] - (piece.pickup if piece.n_bars > 1 else 0)
    for part in piece.parts:
        role = ROLES[part.role]
        assert part.end <= end
        assert all(role.lowest <= midi <= role.highest for _, _, midi in part.notes)
        if role.single:
            pairs = zip(part.notes, part.notes[1:], strict=False)
            assert all(a[0] + a[1] <= b[0] for a, b in pairs)
    assert max(part.end for part in piece.parts) == end
    first = min(note[0] for part in piece.parts for note in part.notes)
    assert first == piece.before_music or not piece.pickup


@pytest.fixture(scope="module")
def choir() -> PolyphonicComposer:
    return PolyphonicComposer(untrained(parts=CHOIR_PARTS))


@pytest.mark.parametrize("parts", [CHOIR_PARTS, SONG_PARTS], ids=["choir", "song"])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_a_network_that_knows_nothing_writes_sound_pieces(
    parts: tuple[str, ...], temperature: float
) -> None:
    composer = PolyphonicComposer(untrained(parts=parts))
    sampling = SamplingConfig(seed=1, temperature=temperature)
    for take in composer.takes(16, Controls(), sampling):
        piece, dropped = piece_of(take.tune, finished=False)
        assert not +dropped
        assert_sound(piece)


def test_singers_end_together_and_never_move_in_parallel(choir: PolyphonicComposer) -> None:
    for take in choir.takes(16, Controls(), SamplingConfig(seed=2)):
        if {voice.name for voice in take.tune.voices} != {"Soprano", "Alto", "Tenor", "Bass"}:
            continue
        piece, _ = piece_of(take.tune, finished=False)
        assert len({part.end for part in piece.parts}) == 1
        counts = voice_leading(piece)
        assert (counts.parallel_fifths, counts.parallel_octaves) == (0, 0)


def test_singers_end_on_the_triad_of_the_tonic(choir: PolyphonicComposer) -> None:
    for take in choir.takes(32, Controls(), SamplingConfig(seed=5)):
        if {voice.name for voice in take.tune.voices} != {"Soprano", "Alto", "Tenor", "Bass"}:
            continue
        piece, _ = piece_of(take.tune, finished=False)
        assert ends_on_triad(piece)
        assert piece.parts[-1].notes[-1][2] % 12 == piece.key.tonic_pitch_class


def test_a_length_the_model_has_no_words_for_is_refused_with_the_nearest(
    choir: PolyphonicComposer,
) -> None:
    with pytest.raises(ControlError) as error:
        choir.takes(1, Controls(bars=40), SamplingConfig())
    assert str(error.value) == (
        "bars 40: the model knows no such length; the nearest it writes are 36, 37, 38"
    )


def test_the_rule_forbids_what_would_be_parallel_and_no_more() -> None:
    start = (
        "M:4/4 K:C mode:major up:0 tens:0 ones:2 Part_soprano.52 Part_bass.52 Bar_None TimeSig_4/4"
    )
    chords = [(67, 60), (69, 62)]  # fifths, one step up
    words = [*start.split(), *(f"Pitch_{n}" for n in range(48, 80))]
    for position, (upper, lower) in zip((0, 24), chords, strict=True):
        words += [f"Position_{position}", "Program_0", f"Pitch_{upper}", "Duration_1.0.24"]
        words += ["Program_1", f"Pitch_{lower}", "Duration_1.0.24"]
    vocabulary = Vocabulary.build([words])
    heard = [BOS, *words[:10], *words[42:-2]]
    allowed = {}
    for parallels in (False, True):
        constraint = PieceConstraint(vocabulary, 1, parallels=parallels)
        for token_id in vocabulary.encode(heard):
            constraint.advance(np.array([token_id]))
        allowed[parallels] = set(np.array(vocabulary.tokens)[constraint.mask()[0]])
    assert allowed[True] - allowed[False] == {"Pitch_62"}


@pytest.mark.parametrize("text", [CHORALE, SONG])
def test_written_music_is_within_the_grammar(text: str) -> None:
    tokens = [*encode(piece_of(tune(text))[0]), EOS]
    vocabulary = Vocabulary.build([tokens])
    constraint = PieceConstraint(vocabulary, 1)
    constraint.advance(np.array([vocabulary.ids[BOS]]))
    for token, token_id in zip(tokens, vocabulary.encode(tokens), strict=True):
        assert constraint.mask()[0, token_id], token
        constraint.advance(np.array([token_id]))
    assert constraint.mask()[0].nonzero()[0].tolist() == [0]


@pytest.mark.parametrize("text", [CHORALE, SONG])
def test_the_constraint_tells_a_network_what_training_told_it(text: str) -> None:
    tokens = [BOS, *encode(piece_of(tune(text))[0]), EOS]
    vocabulary = Vocabulary.build([tokens])
    constraint = PieceConstraint(vocabulary, 1)
    rows = []
    for token_id in vocabulary.encode(tokens):
        constraint.advance(np.array([token_id]))
        rows.append(constraint.features()[0])
    features, irregular = trace(tokens)
    assert np.array_equal(features, np.array(rows))
    assert (features < np.array(list(FEATURE_SIZES.values()))).all()
    assert not irregular


def test_features_are_those_of_the_score() -> None:
    state = PieceState()
    for text in encode(piece_of(tune(CHORALE))[0]):
        state.advance(parse_token(text))
        if text == "Position_72":
            break
    named = dict(zip(FEATURE_SIZES, state.features(), strict=True))
    assert (named["position"], named["left"], named["to_go"]) == (36, 12, 4)
    for text in ("Program_0", "Pitch_79", "Duration_1.0.24"):
        state.advance(parse_token(text))
    named = dict(zip(FEATURE_SIZES, state.features(), strict=True))
    assert (named["part"], named["own"], named["voice_0"], named["next_end"]) == (1, 80, 80, 12)


def test_music_that_goes_on_past_its_end_is_irregular() -> None:
    piece, _ = piece_of(tune(CHORALE))
    tokens = encode(piece)
    late = [t if t != "Duration_3.0.24" else "Duration_5.0.24" for t in tokens]
    assert not trace([BOS, *tokens, EOS])[1]
    assert trace([BOS, *late, EOS])[1]


def test_take_k_is_the_same_however_many_are_asked_for(choir: PolyphonicComposer) -> None:
    sampling = SamplingConfig(seed=7)
    several = [take.tune for take in choir.takes(18, Controls(), sampling)]
    assert [take.tune for take in choir.takes(2, Controls(), sampling)] == several[:2]
