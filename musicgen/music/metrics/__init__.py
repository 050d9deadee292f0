"""Numbers about tunes, pure functions: pitch, rhythm, structure, distances, baselines, a judge.

heard = played(tune)                       # repeats played out, as arrays
pitch.pitch_class_entropy(heard.pitches)   # MusPy's number
[measure.of(heard) for measure in MEASURES]
judge = load_judge(); judge(tune).score    # 0 to 1
"""
