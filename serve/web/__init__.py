"""The door of the server: who may come in, what may be brought, what is handed out (no Gradio, no torch, no model).

door        all of it, in the order in which a request meets it: :func:`.door.build_door`
headers     what every answer tells the browser to refuse
bodies      how large a body may be and how long it may take
guard       requests for other hosts, or from other sites, are refused
hosts       the names under which the server may be asked
owners      whose request it is: a signed cookie or a key; strangers become new owners
arrival     people who follow a link from another site come without their cookie, and are asked in with it
keys        keys of the API
password    a password that all share, its attempts limited
login_page  the forms of the password
attempts    failures counted by address, with growing waits
slots       how many uploads an owner has running
closed      Gradio's own ways in and out of files are shut
uploads     ``/v1/videos``
media       ``/media/{id}``
storage     what is needed of the store of uploads
quotas      how much may be kept
incoming    a file while it arrives
forms       the file in a multipart body
kinds       what a file is, by its content
names       what a file is called
signing     the server's secret, and values signed with it
cookies     cookies read and written
errors      answers that say no
fetching    a video from an address, without letting anything in
addresses   which addresses may be fetched from
"""
