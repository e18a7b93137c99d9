"""Descriptions of videos: one, a folder of them, or a library that takes days.

settings    what may be wished for
stretches   a video read window by window and cut into what a text is about each (no torch)
sights      frames that are looked at once, whole and in parts
script      what the model is asked about it, and the description that its answers make
telling     questions of scripts answered together
video       one video: ``describe_video``
batch       many: read ahead, encoded and answered together
engines     who does that for a job: this process, several (``processes``), or Ray (``ray_engine``)
sources     which files a job is about; ``source_lists`` reads lists of them
rows        what is kept of each of them
ledger      the rows on disk, in SQLite: what survives
todo        what is left to do, by what the ledger knows and what the files hold (``fingerprints``)
shards      parts of a job for several machines; ``joining`` makes one of them (no torch)
job         a whole job: ``describe_files``; ``tally`` says how far it is
output_directory  where a job goes and how it is ended; ``holding`` keeps others out (no torch)
outputs     rows as files: JSON lines, tables, subtitles (``subtitle_files``), a contact sheet (``sheet``)
"""
