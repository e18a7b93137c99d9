"""The server: a page and an API for a video language model (installed as ``videollm_serve``).

command   the verb ``videollm serve`` (light: neither torch nor gradio at import)
options   what a server can be told
app       takes the port, runs the server
loading   the models: found, named, loaded
keeping   where data are kept, or that they are not
ending    an end that cuts nobody off
site      page and API on one application, behind one door
sweeping  uploads whose time is over are removed

service   answering many people with one model; knows neither Gradio nor HTTP
ui        the page
api       OpenAI's API
web       the door: who may come in, what may be brought, what is handed out
store     conversations and uploads on disk
"""
