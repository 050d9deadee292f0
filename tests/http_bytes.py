"""Bytes that no client of HTTP should send: requests by hand, each to be refused, and at random."""

from __future__ import annotations

import random

TYPE = b"Content-Type: application/json"
CHUNKED = b"Transfer-Encoding: chunked"


def request(*lines: bytes, body: bytes = b"", start: bytes = b"POST /api/tune HTTP/1.1") -> bytes:
    """A request with these lines of headers."""
    return b"\r\n".join((start, b"Host: localhost", *lines, b"", body))


BAD_CHUNKS = {
    "size ZZZ": b"ZZZ\r\n{}\r\n0\r\n\r\n",
    "negative size": b"-2\r\n{}\r\n0\r\n\r\n",
    "a size of 40 digits": b"f" * 40 + b"\r\n{}",
    "a size that is none": b"\r\n\r\n\r\n",
    "a size in blanks": b" 2 \r\n{}\r\n0\r\n\r\n",
    "no end of line": b"2\r\n{}XX\r\n0\r\n\r\n",
    "a trailer that is none": b"2\r\n{}\r\n0\r\nA b\r\n\r\n",
}
# Requests to which the one answer is 400, after which the connection is closed.
MALFORMED = {
    **{
        f"a chunk with {name}": request(TYPE, CHUNKED, body=body)
        for name, body in BAD_CHUNKS.items()
    },
    "a length and chunks": request(
        TYPE, b"Content-Length: 2", CHUNKED, body=b"2\r\n{}\r\n0\r\n\r\n"
    ),
    "two lengths": request(TYPE, b"Content-Length: 2", b"Content-Length: 3", body=b"{}"),
    "a coding that is none": request(TYPE, b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "a header without a name": request(b": x"),
    "a header with a zero": request(b"X\0: y"),
    "a folded header": request(b"X: y", b"Y\r\n\tz"),
    "no version": request(start=b"GET /api/health"),
    "a version of its own": request(start=b"GET /api/health HTTP/x.1"),
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    "a refusal to HEAD": request(b"X\0: y", start=b"HEAD / HTTP/1.1"),
}

_METHODS = (*b"GET POST HEAD OPTIONS PUT CONNECT PRI get \x16\x03\x01".split(), b"")
_PATHS = b"/ /api/health /api/tune /api/read * http://localhost/ /%00 /%ff?%ff // /\x80".split()
_VERSIONS = b"HTTP/1.1 HTTP/1.1 HTTP/1.1 HTTP/1.0 HTTP/2.0 HTTP/9.9 HTTP".split()
_LINES = (
    b"X: " + b"a" * 40_000,
    *b"""Host: localhost|Content-Type: application/json|Content-Length: 2|Content-Length: 2, 2
Content-Length: 5|Content-Length: -1|Content-Length: 99999999999999999999999|Connection: close
Transfer-Encoding: chunked|Transfer-Encoding: Chunked, chunked|Transfer-Encoding: gzip|Host:
Connection: upgrade|Upgrade: websocket|Upgrade: h2c|Expect: 100-continue|Expect: x|Trailer: A
Origin: http://localhost|Cookie: \xff=;;=| folded|Bad Header: x|:x|X\0: y|Range: bytes=0-
If-None-Match: *""".replace(b"\n", b"|").split(b"|"),
)
_BODIES = (
    *(b"", b"{}", b'{"abc": "X:1\\nK:D\\nA|"}', b"ZZZ\r\n", b"0\r\n\r\n", b"2\r\n{}XX", b"-1\r\n"),
    *(b"2\r\n{}\r\n0\r\n\r\n", b"f" * 20 + b"\r\n", b"f" * 17 + b"\r\nab", b"0\r\nA b\r\n\r\n"),
    *(b"2;x=y\r\n{}\r\n0\r\nA: b\r\n\r\n", b"2\n{}\n0\n\n", b"\r\n" * 50, b"1" * 30_000),
    *(b"0" * 50 + b"2\r\n{}\r\n0\r\n\r\n", b"\xff" * 300, b"2\r\n"),
)


def at_random(rng: random.Random) -> list[bytes]:
    """One to three requests in a row, nearly all of them wrong, cut into parts to send."""
    data = bytearray()
    for _ in range(rng.choice((1, 1, 2, 3))):
        end = rng.choice((b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"))
        method = rng.choice((b"GET", b"POST", b"POST", rng.choice(_METHODS)))
        start = b" ".join((method, rng.choice(_PATHS), rng.choice(_VERSIONS)))
        lines = rng.sample(_LINES, rng.choice((0, 1, 2, 3, 5)))
        data += end.join((start, b"Host: localhost", *lines, b"", b""))
        data += b"".join(rng.choices(_BODIES, k=rng.choice((0, 1, 1, 2))))
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    cuts = sorted(rng.choices(range(len(data)), k=rng.choice((0, 1, 2))))
    return [bytes(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
