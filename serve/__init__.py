"""The page: a local web interface to a video language model (installed as ``videollm_serve``).

command   the verb ``videollm serve`` (light: neither torch nor gradio at import)
app       loads the model, takes the port, runs the server
service   one model, one generation at a time, many sessions; knows neither Gradio nor HTTP
session   one person's conversation as a stream of events
events    the values a session yields
ui        the layout of the page and what is wired to what
handlers  session events turned into changes of the page
panel     the players, frame strips and usage line as HTML
examples  the clips that load on a click, rendered on this machine
privacy   the headers that keep the browser from talking to anyone else
"""
