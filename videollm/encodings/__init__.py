"""Encoded media kept for later: in memory, and on disk from one run to the next.

    EncodingKey ─▶ EncodedCache ─▶ MemoryCache, then DiskCache ─▶ Medium

A medium is known by its content, so a copy under another name is found too. Nothing here brings torch before a medium
is read from the disk or written to it.
"""
