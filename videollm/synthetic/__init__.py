"""The pocket world: scenes with exact truth, rendered to frames and files, and the language about them."""
