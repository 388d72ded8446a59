// Where the points lie closest: contours around the regions that hold a quarter, a half and so on of them.
// Rob Hyndman, "Computing and graphing highest density regions", The American Statistician, 1996.

const CELLS = 160; // of the grid, on a side
const EDGE = 12; // cells around the points
const WIDE = 3; // cells that a blur reaches to each side; three of them are nearly a Gaussian
const SHARES = [0.25, 0.5, 0.75, 0.95]; // of the points within a contour

/** One pass of a moving mean along a line of the grid. */
function blur(from, into, side, step, across) {
  for (let line = 0; line < side; line++) {
    let sum = 0;
    const start = line * across;
    for (let at = 0; at < side + WIDE; at++) {
      if (at < side) sum += from[start + at * step];
      if (at > 2 * WIDE) sum -= from[start + (at - 2 * WIDE - 1) * step];
      if (at >= WIDE) into[start + (at - WIDE) * step] = sum / (2 * WIDE + 1);
    }
  }
}

function density(three, shown) {
  let [left, right, low, high, many] = [Infinity, -Infinity, Infinity, -Infinity, 0];
  for (let at = 0; at < three.length / 3; at++) {
    if (!shown(at)) continue;
    many += 1;
    left = Math.min(left, three[3 * at]);
    right = Math.max(right, three[3 * at]);
    low = Math.min(low, three[3 * at + 1]);
    high = Math.max(high, three[3 * at + 1]);
  }
  if (many < 10) return null;
  const side = CELLS + 2 * EDGE;
  const cell = Math.max(right - left, high - low) / CELLS || 1;
  const origin = [left - EDGE * cell, low - EDGE * cell];
  let [grid, other] = [new Float64Array(side * side), new Float64Array(side * side)];
  for (let at = 0; at < three.length / 3; at++) {
    if (!shown(at)) continue;
    const [x, y] = [0, 1].map((axis) => Math.round((three[3 * at + axis] - origin[axis]) / cell));
    grid[y * side + x] += 1;
  }
  for (let pass = 0; pass < 3; pass++) {
    blur(grid, other, side, 1, side);
    blur(other, grid, side, side, 1);
  }
  return { grid, side, cell, origin };
}

/** The height of the lowest cells that belong to the densest ones which hold a share of all. */
function levels(grid) {
  const sorted = Float64Array.from(grid).sort().reverse();
  const all = sorted.reduce((sum, one) => sum + one, 0);
  let [sum, at] = [0, 0];
  return SHARES.map((share) => {
    while (at < sorted.length - 1 && sum < share * all) sum += sorted[at++];
    return sorted[at];
  });
}

/** Marching squares: the pieces of the line at a height, [x, y, x, y] each, in the grid's cells. */
function pieces(grid, side, height) {
  const found = [];
  for (let y = 0; y < side - 1; y++) {
    for (let x = 0; x < side - 1; x++) {
      const corners = [grid[y * side + x], grid[y * side + x + 1], grid[(y + 1) * side + x + 1], grid[(y + 1) * side + x]];
      const places = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]];
      const crossed = [];
      for (let edge = 0; edge < 4; edge++) {
        const [a, b] = [corners[edge], corners[(edge + 1) % 4]];
        if (a >= height === b >= height) continue;
        const share = (height - a) / (b - a);
        const [[ax, ay], [bx, by]] = [places[edge], places[(edge + 1) % 4]];
        crossed.push(ax + share * (bx - ax), ay + share * (by - ay));
      }
      for (let at = 0; at + 3 < crossed.length; at += 4) found.push(crossed.slice(at, at + 4));
    }
  }
  return found;
}

/** The contours of the points that are `shown`, from the densest out: each a list of pieces [x, y, x, y] on the map. */
export function contours(three, shown) {
  const found = density(three, shown);
  if (!found) return [];
  const { grid, side, cell, origin } = found;
  return levels(grid).map((height) => pieces(grid, side, height).map((piece) => piece.map((value, at) => origin[at % 2] + cell * value)));
}

/** Draw contours over the points of a flat map, the inner ones darker. */
export function drawContours(pen, cloud, drawn, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  drawn.forEach((line, at) => {
    pen.globalAlpha = 0.75 - 0.15 * at;
    pen.beginPath();
    for (const [ax, ay, bx, by] of line) {
      pen.moveTo(...cloud.placed(ax, ay, 0));
      pen.lineTo(...cloud.placed(bx, by, 0));
    }
    pen.stroke();
  });
  pen.globalAlpha = 1;
}
