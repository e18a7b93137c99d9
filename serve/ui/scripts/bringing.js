// Files: dropped, chosen or pasted, sent one after the other to /v1/videos, and listed. The list has first what
// is on the server, in the order of the conversation, then what is on its way or was refused.

const byClass = (name) => document.querySelector(`#bring .${name}`);
const mostBytes = () => Number(document.querySelector("#bring section").dataset.mostBytes);
const all = new Set(); // what the list shows
const removed = new Set(); // ids that were taken away
const waiting = [];
let sending = null;

const kept = () => [...byClass("brought").children].map((row) => row.dataset.id).filter(Boolean);
const listed = () => `${kept().join(" ")} / ${[...removed].join(" ")}`;
const tell = () => {
  const box = document.querySelector("#files textarea, #files input");
  box.value = listed();
  box.dispatchEvent(new Event("input", { bubbles: true }));
};
const say = (text) => { byClass("heard").textContent = text; };

const make = (tag, values = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), values);
  element.append(...children);
  return element;
};

const sizeOf = (bytes) => {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const step = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${Number((bytes / 1000 ** step).toPrecision(3))} ${units[step]}`;
};

const addRow = (name, about) => {
  const row = make("li");
  const one = { row, name, about: make("span", { className: "about", textContent: about }) };
  const off = make("button", { type: "button", className: "off", textContent: "×" });
  off.setAttribute("aria-label", `Remove ${name}`);
  off.addEventListener("click", () => takeAway(one));
  row.append(make("b", { textContent: name }), one.about, off);
  byClass("brought").append(row);
  all.add(one);
  return one;
};

const drop = (one) => {
  one.request?.abort();
  if (waiting.includes(one)) waiting.splice(waiting.indexOf(one), 1);
  all.delete(one);
  one.row.remove();
};

const takeAway = (one) => {
  const next = one.row.nextElementSibling ?? one.row.previousElementSibling;
  drop(one);
  say(`${one.name} was removed.`);
  (next?.querySelector(".off") ?? document.getElementById("choose")).focus();
  if (!one.id) return;
  removed.add(one.id);
  tell();
};

const refuse = (one, line) => {
  one.bar?.remove();
  delete one.row.dataset.id;
  one.id = null;
  one.row.classList.add("refused");
  one.about.textContent = line;
  say(`${one.name}: ${line}`);
};

const behindListed = (one) => {
  byClass("brought").insertBefore(one.row, byClass("brought").querySelector("li:not([data-id])"));
};

const place = (one, upload) => {
  one.bar?.remove();
  one.id = one.row.dataset.id = upload.id;
  one.row.querySelector("b").textContent = one.name = upload.name;
  const until = new Date(1000 * upload.expires_s);
  const shown = until.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  one.about.textContent = `${sizeOf(upload.size)}, kept until ${shown}`;
  behindListed(one);
};

const settle = (one, upload) => {
  place(one, upload);
  one.isFresh = true;
  say(`${one.name} has arrived.`);
  tell();
};

const lineOf = (status, text) => {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text.trim().split("\n")[0].slice(0, 200) || `the server refused it (${status})`;
  }
};

const goOn = () => {
  if (sending || !waiting.length) return;
  const one = sending = waiting.shift();
  const ended = (react) => {
    sending = null;
    if (all.has(one)) react();
    goOn();
  };
  const request = one.request = new XMLHttpRequest();
  request.open("POST", `v1/videos?name=${encodeURIComponent(one.name)}`);
  request.upload.onprogress = (event) => {
    one.bar.value = event.total ? event.loaded / event.total : 0;
    one.about.textContent = `${Math.floor(100 * one.bar.value)} % of ${sizeOf(event.total)}`;
  };
  request.onload = () => ended(() => {
    if (request.status === 201) settle(one, JSON.parse(request.responseText));
    else refuse(one, lineOf(request.status, request.responseText));
  });
  request.onerror = () => ended(() => refuse(one, "the connection to the server was lost: try again"));
  request.onabort = () => ended(() => {});
  request.send(one.file);
};

const bring = (files) => {
  for (const file of files) {
    const one = addRow(file.name, "waiting");
    if (file.size > mostBytes()) {
      refuse(one, `the file is too large: at most ${sizeOf(mostBytes())} are taken`);
      continue;
    }
    one.file = file;
    one.bar = make("progress", { max: 1, value: 0 });
    one.bar.setAttribute("aria-label", `Sending ${one.name}`);
    one.row.append(one.bar);
    waiting.push(one);
  }
  goOn();
};

const bringExample = async (button) => {
  const one = addRow("Example", "waiting");
  const answer = await fetch(`examples/${button.dataset.example}`, { method: "POST" }).catch(() => null);
  if (!all.has(one)) return;
  if (!answer?.ok) {
    refuse(one, answer ? lineOf(answer.status, await answer.text()) : "the connection to the server was lost: try again");
    return;
  }
  const upload = await answer.json();
  // An example takes the place of another one; what somebody brought stays.
  for (const other of [...all]) {
    if (other === one || !(other.example || other.id === upload.id)) continue;
    if (other.id && other.id !== upload.id) removed.add(other.id);
    drop(other);
  }
  removed.delete(upload.id);
  one.example = true;
  settle(one, upload);
};

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-example]");
  if (button) bringExample(button);
});
document.addEventListener("change", (event) => {
  if (event.target.id !== "choose") return;
  bring([...event.target.files]);
  event.target.value = ""; // the same file may be chosen again
});

// A file dropped beside the zone is meant for it too: the browser would leave the page and show the file.
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
const mark = (on) => byClass("drop")?.classList.toggle("over", on);
document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark(true);
});
document.addEventListener("dragleave", (event) => event.relatedTarget || mark(false));
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark(false);
  const folders = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()?.isDirectory);
  const dropped = [...event.dataTransfer.files];
  bring(dropped.filter((_, index) => !folders[index]));
  for (const folder of dropped.filter((_, index) => folders[index]))
    refuse(addRow(folder.name, ""), "this is a folder: bring the files in it");
});
document.addEventListener("paste", (event) => {
  const { files, types } = event.clipboardData;
  // Office programs lay a picture beside the text that is meant.
  if (!files.length || types.includes("text/plain")) return;
  event.preventDefault();
  bring([...files]);
});

// What the page's events call.
window.bringing = {
  /** Takes files off the list that the server no longer has, with a line about each that is not said elsewhere. */
  leave: (leaving) => {
    for (const one of [...all]) {
      if (!one.id || !Object.hasOwn(leaving, one.id)) continue;
      const line = leaving[one.id];
      if (line) refuse(one, line);
      else {
        drop(one); // the chat says why
        say(`${one.name} could not be read.`);
      }
    }
    if (Object.keys(leaving).length) tell();
  },
  /** Takes note that another conversation was asked for: what is in the list belongs to the one before. */
  part: () => { for (const one of all) one.isFresh = false; },
  /**
   * Makes these uploads the list: those of a conversation that is shown now. What is still on its way stays, and what
   * has arrived since the conversation was asked for.
   */
  list: (uploads) => {
    const known = uploads.map((upload) => upload.id);
    if (known.join(" ") === kept().join(" ")) return;
    const fresh = [...all].filter((one) => one.isFresh && !known.includes(one.id));
    for (const one of [...all]) if (one.id && !fresh.includes(one)) drop(one);
    removed.clear();
    for (const upload of uploads) place(addRow(upload.name, ""), upload);
    for (const one of fresh) behindListed(one);
    say("");
    tell();
  },
  /** Empties the list; returns what the server is to be told of it. */
  clear: () => {
    for (const one of [...all]) {
      if (one.id) removed.add(one.id);
      drop(one);
    }
    say("");
    return listed();
  },
};
