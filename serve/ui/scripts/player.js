// The player. A frame (or a span of evidence) takes its player to that second; playing marks the frame last passed.
const playerOf = (element) => document.querySelector(`[data-player="${element.dataset.medium}"]`);
const isVideo = (element) => element instanceof HTMLVideoElement && element.dataset.player !== undefined;

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-seek]");
  const player = button && playerOf(button);
  if (!isVideo(player)) return;
  player.pause();
  player.currentTime = Number(button.dataset.seek);
  player.scrollIntoView({ block: "nearest", behavior: "smooth" });
});

// Media events do not bubble, but they can be caught on the way down.
const onMedia = (name, react) => document.addEventListener(name, (event) => isVideo(event.target) && react(event.target), true);

const markFrame = (player) => {
  const buttons = document.querySelectorAll(`.strip button[data-medium="${player.dataset.player}"]`);
  let current = null;
  for (const button of buttons) if (Number(button.dataset.seek) <= player.currentTime + 0.05) current = button;
  for (const button of buttons) button.classList.toggle("current", button === current);
};
onMedia("timeupdate", markFrame);
onMedia("seeking", markFrame);

const tellUnplayable = (player) => {
  player.hidden = true;
  player.parentElement.querySelector(".unplayable").hidden = false;
};
onMedia("error", tellUnplayable);
// A browser that knows the sound but not the picture plays on with a black rectangle.
onMedia("loadedmetadata", (player) => player.videoWidth === 0 && tellUnplayable(player));
