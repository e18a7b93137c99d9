// Draws clips of the pocket world on a canvas. Written from the world's definitions alone: where things are, their shades
// and the photographs come with the clip; outlines, textures, easing and scaling are not those of training's renderer.
// What passes by in scenes without objects is left out, and so is sensor noise.

const TURN = 2 * Math.PI;

/** Random numbers from 0 to 1, the same for the same seed (an xorshift). */
function randomFrom(seed) {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const between = (random, low, high) => low + (high - low) * random();
const css = ([r, g, b], alpha = 1) => `rgba(${r}, ${g}, ${b}, ${alpha})`;

// Each traces a shape whose bounding box has a longer side of 2 around the origin.
const SHAPES = {
  circle: (path) => path.arc(0, 0, 1, 0, TURN),
  square: (path, random) => path.roundRect(-1, -1, 2, 2, between(random, 0, 0.12)),
  triangle: (path) => corners(path, [[0, -0.87], [1, 0.87], [-1, 0.87]]),
  star: (path, random) => {
    const inner = between(random, 0.36, 0.5);
    corners(path, [...Array(10).keys()].map((index) => {
      const radius = 1.05 * (index % 2 ? inner : 1), turn = index / 10 * TURN;
      return [radius * Math.sin(turn), 0.05 - radius * Math.cos(turn)];
    }));
  },
  cross: (path, random) => {
    const half = between(random, 0.2, 0.32);
    path.rect(-1, -half, 2, 2 * half);
    path.rect(-half, -1, 2 * half, 2);
  },
  ring: (path, random) => {
    path.arc(0, 0, 1, 0, TURN);
    path.closePath();
    path.arc(0, 0, between(random, 0.5, 0.72), 0, TURN, true);
  },
  heart: (path, random) => {
    const top = between(random, -0.65, -0.45);
    path.moveTo(0, 0.9);
    path.bezierCurveTo(-1.45, -0.05, -0.9, -1.25, 0, top);
    path.bezierCurveTo(0.9, -1.25, 1.45, -0.05, 0, 0.9);
  },
  diamond: (path, random) => {
    const half = between(random, 0.5, 0.75);
    corners(path, [[0, -1], [half, 0], [0, 1], [-half, 0]]);
  },
};

function corners(path, points) {
  points.forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
  path.closePath();
}

const eased = (done, easing) => {
  const inside = Math.min(Math.max(done, 0), 1);
  return easing === "smooth" ? (1 - Math.cos(Math.PI * inside)) / 2 : inside;
};

const STEPS = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] };

function poseOf(thing, second) {
  const { kind, start_s, end_s, amount, easing } = thing.action;
  const pose = { x: thing.x, y: thing.y, scale: 1, turns: thing.angle_turns, opacity: 1 };
  if (kind === "stays still") return pose;
  const raw = (second - start_s) / (end_s - start_s), done = eased(raw, easing);
  if (kind.startsWith("moves")) {
    const [x, y] = STEPS[kind.split(" ")[1]];
    pose.x += x * amount * done;
    pose.y += y * amount * done;
  } else if (kind === "grows" || kind === "shrinks") pose.scale = amount ** done;
  else if (kind === "spins") pose.turns += amount * done;
  else if (kind === "appears") pose.opacity = done;
  else if (kind === "disappears") pose.opacity = 1 - done;
  else if (kind === "blinks" && raw >= 0 && raw < 1) pose.opacity = Math.floor(raw * (2 * amount - 1)) % 2;
  return pose;
}

function viewOf(shot, second) {
  const done = eased((second - shot.start_s) / (shot.end_s - shot.start_s), shot.camera_easing);
  const [verb, direction] = shot.camera.split(" "), amount = shot.camera_amount;
  if (verb === "zooms") {
    const scale = direction === "in" ? 1 + (amount - 1) * done : 1 / (1 + (amount - 1) * done);
    return { x: 0, y: 0, scale };
  }
  const [x, y] = verb === "is" ? [0, 0] : STEPS[direction];
  return { x: x * amount * done, y: y * amount * done, scale: 1 };
}

function left(shot, second) {
  if (shot.light === "fades in") return Math.min((second - shot.start_s) / shot.light_amount, 1);
  if (shot.light === "fades out") return Math.min((shot.end_s - second) / shot.light_amount, 1);
  return 1;
}

function canvasOf(width, height) {
  const canvas = new OffscreenCanvas(Math.ceil(width), Math.ceil(height));
  return [canvas, canvas.getContext("2d", { willReadFrequently: true })];
}

// Textures: neither is made in the way of those that training shows, and none repeats itself.
const TEXTURES = [
  function strokes(context, width, height, unit, rgbs, random) {
    for (let count = 0; count < 260 * width * height / unit ** 2; count++) {
      context.strokeStyle = css(rgbs[Math.floor(random() * rgbs.length)], between(random, 0.3, 0.9));
      context.lineWidth = between(random, 0.01, 0.05) * unit;
      context.lineCap = "round";
      const x = random() * width, y = random() * height, far = 0.25 * unit;
      context.beginPath();
      context.moveTo(x, y);
      context.quadraticCurveTo(...[x, y, x, y].map((place) => place + between(random, -far, far)));
      context.stroke();
    }
  },
  function haze(context, width, height, unit, rgbs, random) {
    for (const fine of [3, 7, 15, 31]) {
      const [small, paint] = canvasOf(fine * width / unit + 1, fine * height / unit + 1);
      for (let x = 0; x < small.width; x++) {
        for (let y = 0; y < small.height; y++) {
          paint.fillStyle = css(rgbs[Math.floor(random() * rgbs.length)]);
          paint.fillRect(x, y, 1, 1);
        }
      }
      context.globalAlpha = 3 / fine ** 0.7;
      context.imageSmoothingQuality = "high";
      context.drawImage(small, 0, 0, width, height);
    }
    context.globalAlpha = 1;
  },
  function shards(context, width, height, unit, rgbs, random) {
    for (let count = 0; count < 420 * width * height / unit ** 2; count++) {
      const x = random() * width, y = random() * height, far = 0.12 * unit;
      context.fillStyle = css(rgbs[Math.floor(random() * rgbs.length)], between(random, 0.3, 0.8));
      context.beginPath();
      for (let corner = 0; corner < 4; corner++) {
        context.lineTo(x + between(random, -far, far), y + between(random, -far, far));
      }
      context.fill();
    }
  },
];

async function paintBackdrop(shot, photos, width, height, unit, seed) {
  const { kind, rgbs, axis, photo, contrast, brightness } = shot.backdrop;
  const [canvas, context] = canvasOf(width, height), random = randomFrom(seed);
  if (kind === "photo") {
    const picture = await createImageBitmap(await (await fetch(photos[photo])).blob());
    const scale = Math.max(width / picture.width, height / picture.height) * between(random, 1, 1.5);
    const x = random() * (width - picture.width * scale), y = random() * (height - picture.height * scale);
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, x, y, picture.width * scale, picture.height * scale);
    changeLevels(context, around(meanLuma(context), contrast, brightness));
  } else if (kind === "gradient") {
    const end = axis === "horizontal" ? [width, 0] : [0, height];
    const gradient = context.createLinearGradient(0, 0, ...end);
    rgbs.forEach((rgb, index) => gradient.addColorStop(index / (rgbs.length - 1), css(rgb)));
    context.fillStyle = gradient;
    context.fillRect(0, 0, width, height);
  } else {
    context.fillStyle = css(rgbs[0]);
    context.fillRect(0, 0, width, height);
    if (kind === "texture") {
      TEXTURES[Math.floor(random() * TEXTURES.length)](context, width, height, unit, rgbs, random);
    }
  }
  if (["dark", "bright"].includes(shot.light)) changeLevels(context, lightCurve(shot));
  return canvas;
}

function lightCurve({ light_curve, light_amount }) {
  return (level) => {
    if (light_curve === "gamma") return 255 * (level / 255) ** (1 / light_amount);
    return light_curve === "lift" ? 255 - (255 - level) / light_amount : level * light_amount;
  };
}

/** A change of level that keeps so much of a picture's contrast around its mean, which becomes the wanted one. */
const around = (mean, contrast, wanted) => (level) => (level - mean) * contrast + (wanted || mean);

function meanLuma(context) {
  const { data } = context.getImageData(0, 0, context.canvas.width, context.canvas.height);
  let sum = 0;
  for (let place = 0; place < data.length; place += 4) {
    sum += 0.299 * data[place] + 0.587 * data[place + 1] + 0.114 * data[place + 2];
  }
  return sum / (data.length / 4);
}

function changeLevels(context, change) {
  const pixels = context.getImageData(0, 0, context.canvas.width, context.canvas.height);
  for (let place = 0; place < pixels.data.length; place++) {
    if (place % 4 !== 3) pixels.data[place] = change(pixels.data[place]);
  }
  context.putImageData(pixels, 0, 0);
}

class DrawnShot {
  static async make(shot, photos, width, height, seed) {
    const drawn = new DrawnShot();
    const end = viewOf(shot, shot.end_s), unit = Math.min(width, height);
    const finer = shot.camera.startsWith("zooms") ? shot.camera_amount : 1;
    Object.assign(drawn, { shot, width, height, unit });
    drawn.room = [finer * width * (1 + Math.abs(end.x)), finer * height * (1 + Math.abs(end.y))];
    drawn.from = [Math.min(end.x, 0), Math.min(end.y, 0), Math.min(end.scale, 1)];
    drawn.canvas = await paintBackdrop(shot, photos, ...drawn.room, unit, seed);
    drawn.things = shot.objects.map((thing, index) => {
      const path = new Path2D();
      SHAPES[thing.shape](path, randomFrom(seed + 7 * index + 1));
      return [thing, path];
    });
    return drawn;
  }

  draw(context, second) {
    const { shot, width, height, canvas, room, from } = this;
    const view = viewOf(shot, second);
    context.filter = shot.tone === "in black and white" ? "grayscale(1)" : "none";
    const zooms = shot.camera.startsWith("zooms");
    const wide = (zooms ? room[0] : width) * from[2] / view.scale;
    const high = wide * height / width;
    const x = zooms ? (room[0] - wide) / 2 : (view.x - from[0]) * width;
    const y = zooms ? (room[1] - high) / 2 : (view.y - from[1]) * height;
    context.drawImage(canvas, x, y, wide, high, 0, 0, width, height);
    for (const [thing, path] of this.things) this.drawThing(context, thing, path, view, second);
    context.filter = "none";
    context.fillStyle = css([0, 0, 0], 1 - Math.max(left(shot, second), 0));
    context.fillRect(0, 0, width, height);
  }

  drawThing(context, thing, path, view, second) {
    const pose = poseOf(thing, second);
    context.save();
    context.globalAlpha = Math.max(pose.opacity, 0);
    context.translate(
      ((pose.x - view.x - 0.5) * view.scale + 0.5) * this.width,
      ((pose.y - view.y - 0.5) * view.scale + 0.5) * this.height,
    );
    context.rotate(pose.turns * TURN);
    const half = thing.extent * this.unit / 2 * pose.scale * view.scale;
    context.scale(half, half);
    context.fillStyle = css(thing.rgb);
    context.fill(path);
    context.restore();
  }
}

/** Makes ready to draw a clip of so many pixels. */
async function begin(clip, photos, width, height) {
  const shots = await Promise.all(
    clip.shots.map((shot, index) => DrawnShot.make(shot, photos, width, height, 1000 * clip.seed + 100 * index)),
  );
  const [canvas, context] = canvasOf(width, height);
  window.drawn = { clip, shots, canvas, context };
}

/** The pixels of a second, red, green, blue and alpha, in base 64. */
function pixelsAt(second) {
  const { shots, canvas, context } = window.drawn;
  const shot = shots.findLast((candidate) => candidate.shot.start_s <= second) ?? shots[0];
  shot.draw(context, Math.min(second, shot.shot.end_s));
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const parts = [];
  for (let start = 0; start < data.length; start += 32768) {
    parts.push(String.fromCharCode(...data.subarray(start, start + 32768)));
  }
  return btoa(parts.join(""));
}
