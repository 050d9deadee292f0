"""Files with one thing grown: a number, a list, a text, a nesting, a line; hashes made to fit.

`probes(kind)` are the files of a kind, each with one thing grown; scripts/checks/growth.py reads
them and does with them what they are for. A folder is a dictionary of its files, in which a part
of a file is a file, too ("novelty.npz/names"), until `packed` puts the parts together.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests import hostile, mutation

Files = dict[str, bytes]
SIZE = 100_000  # bytes that lists, texts and repetitions are grown to
HUGE = "1" + "0" * 400
NUMBERS = ("0", "-1", "1000", "1000000", "1" + "0" * 18, HUGE)
TEXT_NUMBERS = ("0", "1000", "1000000", "1" + "0" * 18, HUGE)
MARK = "@grown@"


@dataclass(frozen=True)
class Probe:
    """Files of a kind with one thing grown, made when they are asked for."""

    kind: str
    what: str
    make: Callable[[], Files]


# --- JSON ----------------------------------------------------------------------------------------


def grown_json(data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """JSON with one value grown: of lists the first and the last item."""
    whole = json.loads(data)
    for path in _places(whole, ()):
        value = whole
        for key in path:
            value = value[key]
        place = "".join(f"[{key}]" for key in path)
        for what, text in _grown_values(value):
            yield f"{place} {what}", lambda p=path, t=text: _with(whole, p, t())


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else []
    if isinstance(value, list):
        items = [(n, value[n]) for n in sorted({0, len(value) - 1}) if value]
    for key, item in items:
        yield from _places(item, (*path, key))


def _grown_values(value: Any) -> Iterator[tuple[str, Callable[[], str]]]:
    for number in (*NUMBERS, "NaN", "1e308", "1e400", "0.5"):
        yield f"is {_short(number)}", lambda number=number: number
    yield "is a long text", lambda: json.dumps("x" * SIZE)
    yield "is 1000 deep", lambda: "[" * 1000 + "]" * 1000
    yield "is 50 deep", lambda: "[" * 50 + "]" * 50
    yield "is a list of lists", lambda: "[" + "[]," * (SIZE // 3) + "[]]"
    yield "is a list of numbers", lambda: "[" + "1," * (SIZE // 2) + "1]"
    text = json.dumps(value)
    if isinstance(value, list) and value:
        inner = text[1:-1]
        yield "repeated", lambda: f"[{', '.join([inner] * (SIZE // len(inner) + 1))}]"
    if isinstance(value, dict):
        more = ",".join(f'"more{n}": {n}' for n in range(SIZE // 14))
        yield "with more names", lambda: "{" + ",".join(filter(None, (text[1:-1], more))) + "}"


def _with(whole: Any, path: tuple[Any, ...], text: str) -> bytes:
    """The value with the JSON text at a place."""
    if not path:
        return text.encode()
    changed = copy.deepcopy(whole)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = MARK
    return json.dumps(changed).replace(json.dumps(MARK), text, 1).encode()


def _short(text: str) -> str:
    return text if len(text) < 25 else f"1 and {len(text) - 1} digits"


# --- text ----------------------------------------------------------------------------------------


def grown_text(data: bytes, suffix: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Text with one number larger, one line or word of its format repeated, one element nested."""
    for match in re.finditer(rb"\d+", data):
        before = data[max(0, match.start() - 12) : match.start()].decode("utf-8", "replace")
        for number in TEXT_NUMBERS:
            yield (
                f"{before!r} and {_short(number)}",
                lambda m=match, n=number: data[: m.start()] + n.encode() + data[m.end() :],
            )
    lines = data.splitlines(keepends=True)
    for n, line in enumerate(lines):
        many = line * (SIZE // len(line) + 1)
        yield (
            f"line {n + 1} repeated",
            lambda n=n, m=many: b"".join([*lines[:n], m, *lines[n + 1 :]]),
        )
    for word in mutation.WORDS.get(suffix, ()):
        many = word.encode() * (SIZE // len(word.encode()) + 1)
        for place in (len(data) // 3, 2 * len(data) // 3):
            at = data.index(b"\n", place) if suffix != ".musicxml" else data.index(b"<", place)
            yield f"{word!r} repeated at {at}", lambda a=at, m=many: data[:a] + m + data[a:]
    if suffix == ".musicxml":
        yield from _grown_elements(data)


def _grown_elements(data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    seen = set()
    for match in re.finditer(rb"<([a-z][\w-]*)[^>]*?(/>|>.*?</\1>)", data, re.DOTALL):
        tag = match[1]
        if tag in seen:
            continue
        seen.add(tag)
        many = match[0] * (SIZE // len(match[0]) + 1)
        opened = b"<" + tag + b">"
        deep = SIZE // len(opened) // 2
        nested = opened * deep + (b"</" + tag + b">") * deep
        for what, new in (("repeated", many), ("nested", nested)):
            yield (
                f"<{tag.decode()}> {what}",
                lambda m=match, new=new: data[: m.start()] + new + data[m.end() :],
            )
    for match in re.finditer(rb"<[^>]*?(\s[\w-]+=\"[^\"]*\")", data):
        if match[1] not in seen:
            seen.add(match[1])
            long = match[1][:-1] + b"x" * SIZE + b'"'
            yield (
                f"long {match[1][:30].decode('utf-8', 'replace')}",
                lambda m=match, t=long: data[: m.start(1)] + t + data[m.end(1) :],
            )


# --- MIDI ----------------------------------------------------------------------------------------

EVENTS = {
    "note": b"\x90\x3c\x50%b\x80\x3c\x40",
    "note without end": b"\x90\x3c\x50",
    "end without note": b"\x80\x3c\x50",
    "meter": b"\xff\x58\4\7\3\x18\x08",
    "meter of 0": b"\xff\x58\4\0\0\0\0",
    "meter of 255": b"\xff\x58\4\xff\xff\xff\xff",
    "tempo": b"\xff\x51\3\7\xa1\x20",
    "tempo of 0": b"\xff\x51\3\0\0\0",
    "key": b"\xff\x59\2\x03\x01",
    "lyric": b"\xff\5\2la",
    "text": b"\xff\1\3abc",
    "name": b"\xff\3\3abc",
    "marker": b"\xff\6\3abc",
    "program": b"\xc0\x10",
    "bend": b"\xe0\x7f\x7f",
    "pedal": b"\xb0\x40\x7f",
    "all notes off": b"\xb0\x7b\0",
    "sysex": b"\xf0\3\1\2\xf7",
    "port": b"\xff\x21\1\0",
}
DELTAS = {"0": b"\0", "1": b"\1", "96": b"\x60", "2^28": b"\xff\xff\xff\x7f"}
DIVISIONS = (0, 1, 480, 0x7FFF, 0x8000, 0xE764, 0xFFFF)


def grown_midi() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """MIDI with one event repeated, at one distance or another, between notes and without any."""
    for name, event in EVENTS.items():
        for distance, delta in DELTAS.items():
            once = delta + (event % b"\x30" if b"%b" in event else event)
            for notes in (b"", hostile.STRIKE * 20):
                yield (
                    f"{name} repeated {distance} apart{' after notes' if notes else ''}",
                    lambda o=once, n=notes: hostile.midi(n, o * (SIZE // 2 // len(o)), hostile.END),
                )
    for division in DIVISIONS:
        for kind in (0, 1, 2, 9):
            yield (
                f"division {division}, type {kind}",
                lambda d=division, k=kind: hostile.midi(
                    hostile.STRIKE * 200, hostile.END, division=d, kind=k, tracks=3
                ),
            )
    for seed in range(6):
        yield f"overlapping notes {seed}", lambda seed=seed: _overlapping(seed)
    for tracks in (100, 1000, 5000):
        yield (
            f"{tracks} tracks",
            lambda t=tracks: hostile.midi(hostile.STRIKE * 3, hostile.END, tracks=t),
        )


def _overlapping(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    times = []
    for _ in range(5_000):
        onset = int(rng.integers(0, 10 ** int(rng.integers(2, 6))))
        length = int(rng.integers(1, 10 ** int(rng.integers(1, 6))))
        pitch, channel = int(rng.integers(128)), int(rng.integers(1 + seed % 3))
        times += [(onset, 0x90 | channel, pitch, 80), (onset + length, 0x80 | channel, pitch, 0)]
    events, now = [], 0
    for onset, *message in sorted(times):
        events.append(_length(onset - now) + bytes(message))
        now = onset
    return hostile.midi(*events, hostile.END)


def _length(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


# --- archives and arrays -------------------------------------------------------------------------


def grown_mxl(score: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Compressed scores: with much in them, in many members, or little that says much."""
    container = hostile.container("a.xml")
    for fill in (b" ", b"<a/>", b"<note/>", b"\0", b"<!-- -->"):
        for size in (10**6, 10**7, 6 * 10**7):
            big = score.replace(b"</score-partwise>", fill * (size // len(fill)), 1)
            yield (
                f"{fill!r} to {size} bytes",
                lambda big=big: hostile.archive(container, ("a.xml", big + b"</score-partwise>")),
            )
    for n in (1000, 9000):
        names = [(f"{i}.xml", b"") for i in range(n)]
        yield f"{n} members", lambda names=names: hostile.archive(*names, ("a.xml", score))
    roots = "".join(f'<rootfile full-path="{n}"/>' for n in range(2000))
    many_roots = f"<container><rootfiles>{roots}</rootfiles></container>".encode()
    yield "many roots", lambda: hostile.archive(
        ("META-INF/container.xml", many_roots),
        *((f"x{n}.xml", b"") for n in range(9000)), ("a.xml", score),
    )  # fmt: skip


def grown_array(data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """A .npy file with another shape in its header, or with more elements."""
    array = np.load(io.BytesIO(data))
    header = data[: len(data) - array.nbytes]
    for match in re.finditer(rb"\d+(?=[,)])", header):
        for number in TEXT_NUMBERS:
            text = header[: match.start()] + number.encode() + header[match.end() :]
            fixed = text[:8] + (len(text) - 10).to_bytes(4, "little")[:2] + text[10:]
            yield f"shape {_short(number)}", lambda f=fixed: f + data[len(header) :]
    changes: dict[str, Callable[[], Any]] = {
        "more elements": lambda: np.concatenate([array] * (SIZE // max(1, array.nbytes) + 1)),
        "none": lambda: array[:0],
        "zeros": lambda: np.zeros_like(array),
        "largest": lambda: np.full_like(array, np.iinfo(array.dtype).max),
    }
    for what, change in changes.items():
        yield what, lambda change=change: _npy(change())


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


# --- folders -------------------------------------------------------------------------------------


def unpacked(files: Mapping[str, bytes]) -> Files:
    """Files with the parts of .npz and .safetensors as files of their own."""
    parts: Files = {}
    for name, data in files.items():
        if name.endswith(".npz"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for member in archive.namelist():
                    parts[f"{name}/{member}"] = archive.read(member)
            for text in ("names", "meta"):
                array = np.load(io.BytesIO(parts.pop(f"{name}/{text}.npy")))
                parts[f"{name}/{text}.json"] = array.tobytes()
        elif name.endswith(".safetensors"):
            begin = 8 + int.from_bytes(data[:8], "little")
            parts |= {f"{name}/header.json": data[8:begin], f"{name}/data": data[begin:]}
        else:
            parts[name] = data
    return parts


def packed(parts: Mapping[str, bytes]) -> Files:
    """The inverse of `unpacked`, with every hash and digest made to fit."""
    files = {name: data for name, data in parts.items() if "/" not in name}
    for name in {name.partition("/")[0] for name in parts if "/" in name}:
        inside = {n.partition("/")[2]: d for n, d in parts.items() if n.startswith(f"{name}/")}
        if name.endswith(".safetensors"):
            header = inside["header.json"]
            files[name] = len(header).to_bytes(8, "little") + header + inside["data"]
        else:
            files[name] = _npz(inside)
    with suppress(ValueError, TypeError, KeyError, RecursionError):  # a manifest that was grown
        manifest = json.loads(files["manifest.json"])
        digests = {
            n: hashlib.sha256(files[n]).hexdigest() for n in manifest["sha256"] if n in files
        }
        files["manifest.json"] = json.dumps(manifest | {"sha256": digests}).encode()
    if "meta.json" in files:
        files["meta.json"] = _meta(files)
    if "run.json" in files:
        files["run.json"] = _digested(files["run.json"], sort_keys=True)
    return files


def _npz(inside: Mapping[str, bytes]) -> bytes:
    arrays = {n: d for n, d in inside.items() if n.endswith(".npy")}
    arrays["names.npy"] = _npy(np.frombuffer(inside["names.json"], np.uint8))
    digest = hashlib.sha256()
    for name, data in sorted(arrays.items()):
        content = data[10 + int.from_bytes(data[8:10], "little") :]
        found = re.search(rb"\((\d+)", data[:128])
        digest.update(f"{name.removesuffix('.npy')} {int(found[1]) if found else 0}\n".encode())
        digest.update(content)
    meta = inside["meta.json"]
    if b'"format"' in meta and meta.startswith(b"{"):
        plain = re.sub(rb'"[0-9a-f]{64}"', json.dumps(digest.hexdigest()).encode(), meta)
        meta = plain
    arrays["meta.npy"] = _npy(np.frombuffer(meta, np.uint8))
    return hostile.archive(*arrays.items())


def _meta(files: Mapping[str, bytes]) -> bytes:
    """meta.json of a token folder with the fingerprint and the digest that its files have now."""
    data = files["meta.json"]
    if b"sha256" not in data or any(mark in data for mark in (b"NaN", b"e400", HUGE.encode())):
        return data
    try:
        meta = json.loads(data)
        text = json.dumps([meta["format"], meta["vocab"], meta["feature_sizes"], meta["tokenizer"]])
        digest = hashlib.sha256(text.encode())
        for split in ("train", "val", "test"):
            for column in ("ids", "features", "offsets", "notes"):
                array = files[f"{split}.{column}.npy"]
                digest.update(array[10 + int.from_bytes(array[8:10], "little") :])
        meta["fingerprint"] = digest.hexdigest()[:16]
    except (ValueError, TypeError, KeyError, RecursionError):
        return data
    return _digested(json.dumps(meta).encode())


def _digested(data: bytes, **options: Any) -> bytes:
    """A JSON object with the SHA-256 of its other fields."""
    try:
        content = json.loads(data)
        content.pop("sha256")
        text = json.dumps(content, **options)
        return json.dumps(content | {"sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return data


def grown(name: str, data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """A file of a folder with one thing grown."""
    suffix = name[name.rindex(".") :] if "." in name else ""
    match suffix:
        case ".json":
            yield from grown_json(data)
        case ".npy":
            yield from grown_array(data)
        case ".abc" | ".krn" | ".musicxml" | ".csv" | ".md":
            yield from grown_text(data, suffix)
        case ".mid":
            yield from grown_midi()
        case ".mxl":
            yield from grown_mxl(mutation.seeds(".musicxml")[0])
        case _:
            yield "longer", lambda: data + bytes(SIZE)
            yield "empty", lambda: b""


def probes(kind: str, files: Mapping[str, bytes]) -> Iterator[Probe]:
    """Every probe of a kind, from sound files of it."""
    parts = unpacked(files)
    for name, data in sorted(parts.items()):
        for what, make in grown(name, data):
            yield Probe(kind, f"{name}: {what}", lambda n=name, m=make: packed({**parts, n: m()}))
