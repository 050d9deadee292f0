"""The studio: a local web page to compose with, and the HTTP API behind it.

    server = StudioServer(Settings(port=8765, checkpoint="celtic"))
    print(server.address)
    server.run()

The server only moves bytes. Code that reads music, composes or draws runs in child processes with
limits (`system.sandbox`), so no request can stop the others. All of it is in the Python API below.
"""

from __future__ import annotations

from musicgen.studio.server import Settings, StudioServer

__all__ = ["Settings", "StudioServer"]
