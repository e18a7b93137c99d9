"""The API that programs speak already: OpenAI's, with videos (knows HTTP, but not Gradio).

routes       all of it on one application
schemas      what requests may say, as types; what is not supported is refused, not passed over
validation   what is said of requests that are not so
wording      what pydantic finds, in one line for a person
translating  messages of a request into turns and media
media        the files that a request names
running      work in a thread, heard from the event loop
answers      an answer as OpenAI's JSON, whole or in chunks
streaming    server-sent events
chat         ``/v1/chat/completions`` and ``/v1/models``
descriptions ``/v1/descriptions``
refusals     the library's errors as the API's
counting     requests counted as they are answered
exposition   numbers in Prometheus' text format
metrics      ``/metrics``
replies      what answers look like, as types
openapi      the document of all this
docs_page    the document as HTML
documents    ``/v1/openapi.json``, ``/v1/docs`` and unknown paths
"""
