"""Metrics of tunes, pure functions: pitch, rhythm, structure, distances, baselines, a judge.

notes = NoteArrays.of(tune)                       # repeats played out, as arrays
pitch.pitch_class_entropy(notes.pitches)   # MusPy's number
[measure.function(notes) for measure in MEASURES.values()]
judge = load_judge(); judge(tune).score    # 0 to 1
"""
