"""Answering many people with one model; knows neither Gradio nor HTTP.

service       one model and all who talk to it
models        several of them, by their names
engine        the thread that owns the model; `engine_waiting` is what waits for it, `fair_queue` in which order
driving       a conversation's way to the engine
looking       media read and encoded, each content once; `counted_cache` counts how often that was spared
answering     an answer of a shared model, as events; `history` is what the model reads of turns
session       what one person has open as a stream of events; `conversation` is what is open in it
shelf         which conversations are open; `record` is what is kept of one
receipts      what a look at a long video will take
programs      a program's question, which brings its whole conversation; `prefixes` makes the next one cheap
describing    a description, window by window
events        the values that all of these yield
"""
