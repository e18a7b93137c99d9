"""Descriptions of videos: one, a folder of them, or a library that takes days.

stretches   a video read window by window and cut into what a text is about each (no torch)
script      what the model is asked about it, and the description that its answers make
video       one video: ``describe_video``
batch       several at once: read ahead, encoded and answered together
sources     which files a job is about
rows        what is kept of each of them
ledger      the rows on disk, in SQLite: what survives
job         a whole job: batch over sources into a ledger, then the files that people want
outputs     JSON lines, subtitles, Markdown, CSV, … of rows
"""
