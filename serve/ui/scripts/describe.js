// Descriptions over the video: what the tab "Describe" shows of a file becomes subtitles of its player.

const cuesOf = new Map(); // id of a file: what is said of it, and when
const tracks = new WeakMap(); // player: its one track and what that holds; what is added once cannot be taken away
let over = true;

const sheets = () => [...document.querySelectorAll(".described")];
const videos = () => [...document.querySelectorAll("video[data-player]")];
const fileOf = (player) => player.getAttribute("src")?.replace(/^media\//, "") ?? "";

// WebVTT knows tags: what the model writes is none.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
// At the very moment where one text ends and the next begins a browser shows both.
const APART_S = 0.001;
const cuesIn = (sheet) => [...sheet.querySelectorAll("button[data-end]")].map((button) => [
  Number(button.dataset.seek), Number(button.dataset.end) - APART_S, plain(button.nextElementSibling.textContent),
]).filter(([start, end, text]) => end > start && text.trim());

const trackOf = (player) => {
  let held = tracks.get(player);
  if (!held) {
    held = { track: player.addTextTrack("subtitles", "Description"), holds: "[]" };
    tracks.set(player, held);
    // The browser's own menu can turn subtitles off as well.
    player.textTracks.addEventListener("change", () => {
      over = held.track.mode === "showing";
      show();
    });
  }
  return held;
};

const fill = (held, cues) => {
  const wanted = JSON.stringify(cues);
  if (held.holds === wanted) return;
  held.holds = wanted;
  held.track.mode = "hidden"; // a disabled track does not tell its cues
  for (const cue of [...held.track.cues]) held.track.removeCue(cue);
  for (const cue of cues) held.track.addCue(new VTTCue(...cue));
};

const press = () => {
  for (const button of document.querySelectorAll(".described .over")) button.setAttribute("aria-pressed", over);
};

const show = () => {
  for (const player of videos()) {
    const cues = cuesOf.get(fileOf(player)) ?? [];
    if (!cues.length && !tracks.has(player)) continue;
    const held = trackOf(player);
    fill(held, cues);
    const mode = over ? "showing" : "hidden";
    if (held.track.mode !== mode) held.track.mode = mode;
  }
  press();
};

// The text that is being said is marked, as frames are.
const markText = (player) => {
  for (const sheet of sheets()) {
    if (sheet.dataset.upload !== fileOf(player)) continue;
    for (const button of sheet.querySelectorAll("button[data-end]")) {
      const { seek, end } = button.dataset;
      const isNow = Number(seek) <= player.currentTime && player.currentTime < Number(end);
      button.parentElement.classList.toggle("current", isNow);
    }
  }
};
const markMoved = ({ target }) => target instanceof HTMLVideoElement && markText(target);
document.addEventListener("timeupdate", markMoved, true);
document.addEventListener("seeking", markMoved, true);

const readAgain = () => {
  const kept = new Set([...sheets().map((sheet) => sheet.dataset.upload), ...videos().map(fileOf)]);
  for (const id of [...cuesOf.keys()]) if (!kept.has(id)) cuesOf.delete(id);
  for (const sheet of sheets()) cuesOf.set(sheet.dataset.upload, cuesIn(sheet));
  show();
  videos().forEach(markText);
};

document.addEventListener("click", (event) => {
  if (!event.target.closest?.(".described .over")) return;
  over = !over;
  show();
});

// Players and descriptions are redrawn by the page, and the tab is not there before it is opened.
const concerns = ({ target }) => (target.closest ? target : target.parentElement)?.closest("#players, #describe");
let isDue = false;
new MutationObserver((changes) => {
  if (isDue || !changes.some(concerns)) return;
  isDue = true;
  setTimeout(() => {
    isDue = false;
    readAgain();
  });
}).observe(document.body, {
  subtree: true, childList: true, characterData: true,
  attributes: true, attributeFilter: ["src", "data-upload", "data-seek", "data-end"],
});
