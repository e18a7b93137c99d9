// Conversations that are kept: listed in the header, opened, begun, renamed, deleted, exported. Which one a page shows
// stands in its address, so that a reload, a bookmark or a restart of the server brings it back.

const nav = () => document.getElementById("conversations");
const panel = () => nav().querySelector("details");
const address = () => new URL(window.location.href);
const shown = () => address().searchParams.get("c");
let wishes = 0;

const want = (what) => {
  window.bringing.part();
  const box = document.querySelector("#wanted textarea, #wanted input");
  box.value = `${what} ${++wishes}`;
  box.dispatchEvent(new Event("input", { bubbles: true }));
};

const show = (id) => {
  const next = address();
  if (id) next.searchParams.set("c", id);
  else next.searchParams.delete("c");
  if (next.href !== window.location.href) window.history.replaceState(window.history.state, "", next);
};

const say = (line) => { nav().querySelector(".heard").textContent = line; };

const ask = async (path, options) => {
  const answer = await fetch(`conversations${path}`, options).catch(() => null);
  if (answer?.ok) return answer.status === 204 ? {} : answer.json();
  say(answer ? "The server refused it: reload the page." : "The connection to the server was lost: try again.");
  return null;
};

const make = (tag, values = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), values);
  element.append(...children);
  return element;
};

const button = (name, about, act) => {
  const made = make("button", { type: "button", textContent: name, title: about });
  made.setAttribute("aria-label", about);
  made.addEventListener("click", act);
  return made;
};

const exported = (one, format, name) => {
  const link = make("a", { href: `conversations/${one.id}/export?format=${format}`, textContent: name });
  link.download = "";
  link.setAttribute("aria-label", `Export “${one.title}” as ${format}`);
  return link;
};

const rename = (one, row) => {
  const box = make("input", { value: one.title, maxLength: 200 });
  box.setAttribute("aria-label", "New title");
  const form = make("form", {}, box);
  let done = false;
  const finish = async (keep) => {
    if (done) return;
    done = true;
    if (keep && box.value.trim() !== one.title) {
      const headers = { "content-type": "application/json" };
      await ask(`/${one.id}`, { method: "PATCH", headers, body: JSON.stringify({ title: box.value }) });
    }
    await refresh();
    rows().find((other) => other.dataset.id === one.id)?.querySelector(".rename")?.focus();
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); finish(true); });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    finish(false);
  });
  box.addEventListener("blur", () => finish(true));
  row.replaceChildren(form);
  box.select();
  box.focus();
};

const remove = async (one) => {
  if (!window.confirm(`Delete “${one.title}” and the files that only it is about?`)) return;
  if (!(await ask(`/${one.id}`, { method: "DELETE" }))) return;
  if (one.id === shown()) want("new");
  await refresh();
  say(`“${one.title}” was deleted.`);
  nav().querySelector("summary").focus();
};

const dateOf = (seconds) =>
  new Date(1000 * seconds).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

const rowOf = (one) => {
  one = { ...one, title: one.title || "Untitled" };
  const row = make("li");
  row.dataset.id = one.id;
  const title = button(one.title, `Open “${one.title}”`, () => {
    panel().open = false;
    if (one.id !== shown()) want(`open ${one.id}`);
  });
  title.className = "open";
  if (one.id === shown()) title.setAttribute("aria-current", "true");
  const pen = button("Rename", `Rename “${one.title}”`, () => rename(one, row));
  pen.className = "rename";
  const questions = one.turns ? `${one.turns} ${one.turns === 1 ? "turn" : "turns"}` : "nothing asked yet";
  const acts = make("p", {}, make("span", { textContent: `${dateOf(one.updated_s)} · ${questions}` }));
  acts.append(pen, exported(one, "markdown", "Markdown"), exported(one, "json", "JSON"));
  acts.append(button("Delete", `Delete “${one.title}”`, () => remove(one)));
  row.append(title, acts);
  return row;
};

const rows = () => [...nav().querySelectorAll("li")];

const refresh = async () => {
  const told = await ask("", {});
  if (!told) return;
  nav().querySelector("ol").replaceChildren(...told.conversations.map(rowOf));
  const count = told.conversations.length;
  nav().querySelector("summary").textContent = count ? `Conversations (${count})` : "Conversations";
  nav().querySelector(".none").hidden = count > 0;
};

// What cannot be taken back is asked about first.
document.addEventListener("click", (event) => {
  const isClear = event.target.closest?.("#clear-all, #chat button[aria-label='Clear']");
  if (!isClear || !document.querySelector("#chat [data-testid=user]")) return;
  if (window.confirm("Forget this conversation and its files? They are removed from the server.")) return;
  event.preventDefault();
  event.stopPropagation();
}, true);

document.addEventListener("click", (event) => {
  if (event.target.closest?.("#begin")) want("new");
  else if (panel()?.open && !nav().contains(event.target) && event.target.isConnected) panel().open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !panel()?.open) return;
  panel().open = false;
  nav().querySelector("summary").focus();
});
document.addEventListener("toggle", (event) => event.target === panel() && panel().open && refresh(), true);

// Other windows of this browser hear of what has changed, and show it if it is the same conversation.
const windows = new BroadcastChannel("conversations");
let known = null;
const isBusy = () => document.querySelector("#question .stop-button") !== null;
windows.onmessage = ({ data }) => {
  if (data.id === shown() && data.revision !== known && !isBusy()) want(`open ${data.id}`);
};

window.conversations = {
  /** What the address wants to be shown, as the server understands it. */
  named: () => (shown() ? `open ${shown()}` : ""),
  /** Takes note of the conversation that the page shows now, and of its revision. */
  now: (id, revision) => {
    const isNews = id === shown() && revision !== known;
    known = revision;
    show(id);
    if (id && isNews) windows.postMessage({ id, revision });
    refresh();
  },
};

// What the server tells the page: which conversation it shows, which files it lists, and which ones leave the list.
// A list is said several times, as not every word is heard; the list may have been changed since the first time.
let listing = null;
window.hear = (text) => {
  const told = text ? JSON.parse(text) : {};
  if (told.listed && told.listing !== listing) window.bringing.list(told.listed);
  listing = told.listing ?? listing;
  if (told.leaving) window.bringing.leave(told.leaving);
  if ("conversation" in told) window.conversations.now(told.conversation, told.revision);
};
