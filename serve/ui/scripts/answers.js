// Answers: times in them are buttons that take the player there; the spans that an answer rests on stand below it and
// light up in the strips, those of the newest answer or of the one that was last clicked.

const TIME = /(?<![\w:./])(?:(\d{1,2}):)?(\d{1,2}):([0-5]\d(?:\.\d+)?)(?![\w:])/g;
const answers = () => [...document.querySelectorAll("#chat [data-testid=bot]")];
const rows = () => [...document.querySelectorAll("#provenance li")];
const spansOf = (row) => (row?.dataset.spans.split(" ").filter(Boolean) ?? []).map((span) => {
  const [medium, start, end] = span.split(":").map(Number);
  return { medium, start, end };
});
let chosen = null; // the answer whose spans are lit; null for the newest

const clock = (seconds) => {
  const tenths = Math.floor(10 * seconds + 0.5);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
};

const timeButton = (text, medium, seconds) => {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "time", textContent: text });
  button.dataset.seek = seconds.toFixed(3);
  button.dataset.medium = medium;
  button.setAttribute("aria-label", `Go to ${text}`);
  return button;
};

// A time of no player stays text. Of several videos the first that lasts so long is meant, as far as anybody can tell.
const mediumOf = (seconds) =>
  [...document.querySelectorAll("video[data-player]")].find((player) => seconds <= Number(player.dataset.duration) + 0.5);

const linkTimes = (answer) => {
  const walker = document.createTreeWalker(answer, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode())
    if (!walker.currentNode.parentElement.closest("button, a, pre, code")) texts.push(walker.currentNode);
  for (const text of texts) {
    const parts = [];
    let from = 0;
    for (const found of text.data.matchAll(TIME)) {
      const [hours, minutes, seconds] = found.slice(1).map((part) => Number(part ?? 0));
      const second = 3600 * hours + 60 * minutes + seconds;
      const player = mediumOf(second);
      if (!player) continue;
      parts.push(text.data.slice(from, found.index), timeButton(found[0], player.dataset.player, second));
      from = found.index + found[0].length;
    }
    if (parts.length) text.replaceWith(...parts, text.data.slice(from));
  }
};

const restsOn = (answer, row) => {
  const spans = spansOf(row);
  const told = row?.dataset.spans ?? "";
  const line = answer.querySelector(":scope > .rests");
  if ((line?.dataset.spans ?? "") === told) return;
  line?.remove();
  if (!spans.length) return;
  const made = Object.assign(document.createElement("p"), { className: "rests" });
  made.dataset.spans = told;
  made.append("rests on ");
  const several = document.querySelectorAll("[data-player]").length > 1;
  for (const { medium, start, end } of spans) {
    const which = several ? ` of video ${medium + 1}` : "";
    made.append(timeButton(`${clock(start)}–${clock(end)}${which}`, medium, start), " ");
  }
  answer.append(made);
};

const light = () => {
  const all = rows();
  const spans = spansOf(all[chosen !== null && chosen < all.length ? chosen : all.length - 1]);
  for (const frame of document.querySelectorAll(".strip button[data-seek]")) {
    const second = Number(frame.dataset.seek);
    const isLit = spans.some((span) => String(span.medium) === frame.dataset.medium
      && span.start - 1e-3 <= second && second <= span.end + 1e-3);
    frame.classList.toggle("lit", isLit);
    if (isLit) frame.setAttribute("aria-description", "The answer rests on this.");
    else frame.removeAttribute("aria-description");
  }
};

// What is lit may lie outside the part of the strip that can be seen.
const reveal = () => {
  for (const strip of document.querySelectorAll(".strip")) {
    const first = strip.querySelector("button.lit");
    if (first) strip.scrollTo({ left: first.parentElement.offsetLeft - strip.offsetLeft - 8, behavior: "smooth" });
  }
};

let [known, revealed] = [0, ""];
const refresh = () => {
  const [all, told] = [answers(), rows()];
  if (told.length !== known) [known, chosen] = [told.length, null];
  all.forEach((answer, index) => {
    linkTimes(answer);
    restsOn(answer, told[index]);
    answer.classList.toggle("chosen", chosen === index);
  });
  light();
  const lit = [...document.querySelectorAll(".strip button.lit")].map((frame) => frame.dataset.seek).join(" ");
  if (lit !== revealed) reveal();
  revealed = lit;
};

document.addEventListener("click", (event) => {
  const answer = event.target.closest?.("#chat [data-testid=bot]");
  if (!answer) return;
  const index = answers().indexOf(answer);
  chosen = index === rows().length - 1 ? null : index;
  refresh();
});

// Whatever draws the conversation or the strips anew leaves our marks out. What we change ourselves calls us once more,
// and finds nothing to do.
let asked = false;
const soon = () => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    refresh();
  });
};
const watched = ["chat", "provenance", "strips", "players"];
const watch = () => {
  const parts = watched.map((id) => document.getElementById(id));
  if (parts.includes(null)) return void setTimeout(watch, 50);
  const observer = new MutationObserver(soon);
  for (const part of parts) observer.observe(part, { childList: true, subtree: true, characterData: true });
  soon();
};
watch();
