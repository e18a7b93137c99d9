"""What the server remembers: conversations, turns and uploads, in SQLite and files (no Gradio, no HTTP, no torch).

store          a data directory that is held, opened and closed: :class:`.store.Store`
conversations  conversations of owners: media, turns, titles
uploads        files that owners brought, kept for a while; what a crash left behind is swept
descriptions   what was found in uploads that were described
export         a conversation as Markdown and as JSON
values         what the store takes and gives; `rows` says how turns are written in columns
database       the SQLite file: one connection, transactions, errors in one line
schema         its tables, and the steps from one format to the next
errors         what a caller may have to tell a person

Everything belongs to an owner, and every question to the store names the owner and an id: what is another's is as
unknown as what never was.
"""
