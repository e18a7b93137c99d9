// The box for questions: its buttons have names, Enter sends an edited question too, and one that could not be sent comes
// back.

const box = () => document.querySelector("#question textarea");
const UNSENT = "unsent question";
let last = "";
document.addEventListener("input", (event) => { if (event.target === box()) last = event.target.value; }, true);

const name = () => {
  for (const [kind, label] of [["submit", "Send the question"], ["stop", "Stop"]]) {
    const button = document.querySelector(`#question .${kind}-button`);
    if (button && button.getAttribute("aria-label") !== label) {
      button.setAttribute("aria-label", label);
      button.title = label;
    }
  }
};
const fill = (text) => {
  if (!text || box().value) return;
  box().value = text;
  box().dispatchEvent(new Event("input", { bubbles: true }));
};
// While the page is still drawn, Gradio may draw over what is in the box, or load the page once more: what was not sent
// is put back until a person takes over.
const KEPT_MS = 5000;
const keepUnsent = () => {
  if (sessionStorage.getItem(UNSENT) === null) return;
  const end = performance.now() + KEPT_MS;
  let taken = false;
  const take = () => { taken = true; };
  for (const deed of ["keydown", "pointerdown"]) document.addEventListener(deed, take, { capture: true, once: true });
  const again = () => {
    if (taken || performance.now() > end) return void sessionStorage.removeItem(UNSENT);
    fill(sessionStorage.getItem(UNSENT));
    setTimeout(again, 100);
  };
  again();
};
const watch = () => {
  const question = document.getElementById("question");
  if (!question) return void setTimeout(watch, 50);
  new MutationObserver(name).observe(question, { childList: true, subtree: true });
  name();
  keepUnsent();
};
watch();

// Shift and Enter is a new line there, as in the box for questions.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  if (!event.target.matches?.("#chat textarea.edit-textarea")) return;
  const buttons = [...document.querySelectorAll("#chat .message-buttons button[aria-label='Submit']")];
  if (buttons.length !== 1) return;
  event.preventDefault();
  event.stopPropagation();
  buttons[0].click();
}, true);

// The box is emptied as it is sent: what a server that is gone did not get, nobody should have to write again. When the
// server is there again, Gradio loads the page anew.
const giveBack = (text) => {
  sessionStorage.setItem(UNSENT, text);
  const whenEmptied = () => {
    if (!box().value) return fill(text);
    if (box().value === text) setTimeout(whenEmptied, 50); // else a person writes something new already
  };
  whenEmptied();
};
const { fetch } = window;
window.fetch = async (...request) => {
  const asked = last;
  try {
    return await fetch(...request);
  } catch (error) {
    const isAsked = asked && String(request[1]?.body ?? "").includes(JSON.stringify(asked));
    if (isAsked && String(request[0]?.url ?? request[0]).includes("/queue/join")) giveBack(asked);
    throw error;
  }
};
