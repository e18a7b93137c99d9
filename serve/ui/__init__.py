"""The page, on Gradio.

page           what is on it, where it stands, and which event calls which handler
widgets        the components that change, by name; `controls` reads the values of the settings
handlers       what a person can do, and what a session does then; `display` says how the page shows it
assets         scripts, styles and the theme: `scripts/`, `styles/`
panel          players, strips and costs as HTML; `bringing` the drop zone and the examples
signals        what page and server tell one another in hidden boxes
talk           the conversation as Gradio's Chatbot takes it
describe_tab   the tab "Describe": what is on it; `describe_handlers` what it calls, `describe_state` what one page has
               open, `describe_sheets` a description as it is kept, `describe_panel` and `describe_downloads` how it
               is shown and taken along, `describe_widgets` its components
brought        which uploads a page has listed, and what is taken off the list
page_owners    a page's calls and results are its owner's alone
conversation_routes  kept conversations are listed, renamed, deleted, exported
examples       clips rendered on this machine; `example_routes` hands them out
"""
