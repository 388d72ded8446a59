// Where the map is looked at from: moved and zoomed in two dimensions, turned in three.

// Of the kept rows so many may lie outside the first look, so that some far away do not make all others small. The
// report goes by the same share (`FEW` in report.js).
const FEW = 0.03;
const WIDEST = 1.6; // how much one axis of a flat map may be drawn wider than the other
const MARGIN = 0.84; // of the room that the points take

const CLOSE = 1.1; // how near a map in three dimensions is: the corners of the frame may lie outside

const HOME = { x: 0, y: 0, zoom: 1, wide: 1, high: 1, turn: 0.6, tilt: 0.35 };

function frame(values) {
  const sorted = Float32Array.from(values).sort();
  const few = Math.floor(FEW * (sorted.length - 1));
  return [sorted[few], sorted[sorted.length - 1 - few]];
}

export class Camera {
  constructor() {
    Object.assign(this, HOME);
  }

  /** Look at all points that count but a few; `inset` pixels at the right are taken by the legend. */
  fit({ three, dimensions, width, height }, inset = 0, counts = () => true) {
    Object.assign(this, HOME);
    if (!three?.length) return;
    const kept = three.filter((_, at) => counts(Math.floor(at / 3)));
    const seen = kept.length ? kept : three;
    const axes = [0, 1, 2].map((axis) => frame(seen.filter((_, at) => at % 3 === axis)));
    const middle = axes.map(([low, high]) => (low + high) / 2);
    const half = axes.map(([low, high]) => (high - low) / 2 || 1);
    this.middle = middle;
    if (dimensions === 3) {
      this.zoom = CLOSE / Math.max(...half);
      return;
    }
    const across = ((width - inset) * MARGIN) / (2 * half[0]);
    const down = (height * MARGIN) / (2 * half[1]);
    const scale = Math.min(across, down);
    this.zoom = scale / this._unit(width, height);
    this.wide = Math.min(WIDEST, across / scale);
    this.high = Math.min(WIDEST, down / scale);
    this.x = middle[0] + inset / 2 / (scale * this.wide);
    this.y = middle[1];
    this.first = this.zoom;
  }

  /** Move by pixels: the map in two dimensions, its turn in three. */
  move(dx, dy, { width, height, dimensions }) {
    if (dimensions === 3) {
      this.turn += dx * 0.008;
      this.tilt = Math.max(-1.5, Math.min(1.5, this.tilt + dy * 0.008));
      return;
    }
    const scale = this._unit(width, height) * this.zoom;
    this.x -= dx / (scale * this.wide);
    this.y += dy / (scale * this.high);
  }

  /** Zoom by a factor; in two dimensions what lies at a place on the page stays there. */
  zoomBy(factor, at, { width, height, dimensions }) {
    const before = this.zoom;
    this.zoom = Math.max(0.2, Math.min(400, this.zoom * factor));
    if (dimensions === 3 || !at) return;
    const scale = this._unit(width, height) * before;
    const share = 1 - before / this.zoom;
    this.x += ((at[0] - width / 2) / (scale * this.wide)) * share;
    this.y -= ((at[1] - height / 2) / (scale * this.high)) * share;
  }

  /** Pixels for a unit of the map before any zoom. */
  _unit(width, height) {
    return Math.min(width, height) * 0.47;
  }

  /** The matrix, column by column. */
  matrix({ width, height, dimensions }) {
    const scale = this._unit(width, height) * this.zoom;
    const [sx, sy] = [(2 * scale * this.wide) / width, (2 * scale * this.high) / height];
    if (dimensions !== 3) return new Float32Array([sx, 0, 0, 0, 0, sy, 0, 0, 0, 0, 1, 0, -this.x * sx, -this.y * sy, 0, 1]);
    const [c, s] = [Math.cos(this.turn), Math.sin(this.turn)];
    const [d, t] = [Math.cos(this.tilt), Math.sin(this.tilt)];
    const far = 3.2;
    const rows = [[c, 0, s], [s * t, d, -c * t], [-s * d, t, c * d]]; // what a point becomes: right, up, towards us
    const [near, back] = [0.05, 8];
    const [a, b] = [(back + near) / (back - near), (-2 * back * near) / (back - near)];
    const made = new Float32Array(16);
    for (let axis = 0; axis < 3; axis++) {
      made[4 * axis] = rows[0][axis] * sx * 3;
      made[4 * axis + 1] = rows[1][axis] * sy * 3;
      made[4 * axis + 2] = -rows[2][axis] * a;
      made[4 * axis + 3] = -rows[2][axis];
    }
    const shift = this.middle ?? [0, 0, 0];
    for (let row = 0; row < 4; row++) made[12 + row] = -[0, 1, 2].reduce((sum, axis) => sum + made[4 * axis + row] * shift[axis], 0);
    made[14] += far * a + b;
    made[15] += far;
    return made;
  }
}
