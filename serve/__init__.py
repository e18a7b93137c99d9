"""The server: a page and an API for a video language model (installed as ``videollm_serve``).

The program:

command         the verb ``videollm serve`` (light: neither torch nor gradio at import)
options         what a server can be told
app             loads the model, takes the port, runs the server
site            page and API on one application, behind one door
sweeping        uploads whose time is over are removed

Answering; knows neither Gradio nor HTTP:

service         one model and all who talk to it
engine          the thread that owns the model; `engine_waiting` is what waits for it, `fair_queue` in which order
driving         a conversation's way to the engine
looking         media read and encoded, each content once
session         one person's conversation as a stream of events; `conversation` is what is open in it
programs        a program's question, which brings its whole conversation; `prefixes` makes the next one cheap
events          the values that all of these yield

Faces and rooms of their own:

ui              the layout of the page; `handlers`, `controls`, `widgets`, `panel` and `bringing` belong to it
brought         which uploads a page has listed, and what is taken off the list
page_owners     a page's calls and results are its owner's alone
examples        clips rendered on this machine; `example_routes` hands them out
api             OpenAI's API
web             the door: who may come in, what may be brought, what is handed out
store           conversations and uploads on disk
"""
