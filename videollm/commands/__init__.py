"""The verbs of ``videollm``: each module parses its options, calls the library and prints; nothing heavy at import."""
