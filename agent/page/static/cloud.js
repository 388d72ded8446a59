// Points on a canvas by WebGL, in two or three dimensions. What is drawn: a place, a colour and a standing for each.

const VERTEX = `
attribute vec3 place; attribute vec4 colour; attribute float standing;
uniform mat4 view; uniform float size; uniform float depth;
varying vec4 paint; varying float kind; varying float wide;
void main() {
  gl_Position = view * vec4(place, 1.0);
  float near = depth > 0.0 ? clamp(3.6 / gl_Position.w, 0.4, 2.5) : 1.0;
  gl_PointSize = (standing > 1.5 ? size * 1.05 : standing < 0.5 ? size * 0.8 : size) * near;
  paint = colour; kind = standing; wide = gl_PointSize;
  if (standing < -0.5) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;
const FRAGMENT = `
precision mediump float;
varying vec4 paint; varying float kind; varying float wide;
void main() {
  float far = length(gl_PointCoord - 0.5) * 2.0;
  float soft = 2.0 / max(wide, 2.0);
  float alpha = 1.0 - smoothstep(1.0 - soft, 1.0, far);
  if (kind > 1.5) alpha *= smoothstep(0.62 - soft, 0.62, far);
  alpha *= paint.a;
  if (alpha < 0.02) discard;
  gl_FragColor = vec4(paint.rgb * alpha, alpha);
}`;

/** How a point stands: not drawn, dimmed, as it is, or a ghost (a ring). */
export const HIDDEN = -1;
export const DIM = 0;
export const PLAIN = 1;
export const GHOST = 2;

/** Any first part of a stretch is then a sample of it. */
function shuffle(order, from, until) {
  let seed = 1;
  for (let at = until - 1; at > from; at--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const other = from + (seed % (at - from + 1));
    [order[at], order[other]] = [order[other], order[at]];
  }
}

export class Cloud {
  /** Throws where the browser has no WebGL 2. */
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: true });
    if (!gl) throw new Error("this browser has no WebGL 2, which the map needs; rows and clusters work without");
    this.gl = gl;
    this.count = 0;
    this._begin();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this._begin();
      if (this.places) this.load(this.places, this.dimensions);
      if (this.paint) this.colour(this.paint, this.standing);
      this.draw();
    });
  }

  _begin() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`the map cannot be drawn: ${gl.getProgramInfoLog(program)}`);
    gl.useProgram(program);
    this._at = Object.fromEntries(["view", "size", "depth"].map((name) => [name, gl.getUniformLocation(program, name)]));
    this._buffers = { place: gl.createBuffer(), colour: gl.createBuffer(), standing: gl.createBuffer() };
    this._order = gl.createBuffer();
    const kinds = { place: [3, gl.FLOAT, false], colour: [4, gl.UNSIGNED_BYTE, true], standing: [1, gl.FLOAT, false] };
    for (const [name, [items, type, normal]] of Object.entries(kinds)) {
      const at = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, this._buffers[name]);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, items, type, normal, 0, 0);
    }
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** Places, float32 [n * dimensions]. */
  load(places, dimensions) {
    const count = places.length / dimensions;
    const three = new Float32Array(3 * count);
    for (let at = 0; at < count; at++) {
      for (let axis = 0; axis < dimensions; axis++) three[3 * at + axis] = places[dimensions * at + axis];
    }
    Object.assign(this, { places, dimensions, count, three });
    this._fill("place", three);
  }

  /** Colours, uint8 [n * 4], and how each point stands, float32 [n]. */
  colour(paint, standing) {
    const { gl } = this;
    Object.assign(this, { paint, standing });
    this._fill("colour", paint);
    this._fill("standing", standing);
    const order = new Uint32Array(this.count); // dimmed first, so that they lie below
    let next = 0;
    this.kinds = [DIM, GHOST, PLAIN].map((kind) => {
      const from = next;
      for (let at = 0; at < this.count; at++) if (standing[at] === kind) order[next++] = at;
      shuffle(order, from, next);
      return [from, next - from];
    });
    this.shown = next;
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this._order);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order.subarray(0, next), gl.DYNAMIC_DRAW);
  }

  _fill(name, values) {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this._buffers[name]);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, values, this.gl.DYNAMIC_DRAW);
  }

  /** Make the canvas as large as it is shown. */
  resize() {
    const sharp = Math.min(2, window.devicePixelRatio || 1);
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.sharp = sharp;
    this.canvas.width = Math.max(1, Math.round(this.width * sharp));
    this.canvas.height = Math.max(1, Math.round(this.height * sharp));
    this.gl.viewport(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Draw with a matrix (column by column) and the size of a point in pixels; or a `share` of the points, by lot. */
  draw(matrix = this.matrix, size = this.size, share = 1) {
    const { gl } = this;
    Object.assign(this, { matrix, size });
    const deep = this.dimensions === 3;
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (!this.shown || !matrix) return;
    if (deep) gl.enable(gl.DEPTH_TEST);
    else gl.disable(gl.DEPTH_TEST);
    gl.uniformMatrix4fv(this._at.view, false, matrix);
    gl.uniform1f(this._at.size, size * this.sharp);
    gl.uniform1f(this._at.depth, deep ? 1 : 0);
    for (const [from, many] of this.kinds) {
      if (many) gl.drawElements(gl.POINTS, Math.ceil(many * share), gl.UNSIGNED_INT, 4 * from);
    }
  }

  /** Wait until what was drawn is drawn. */
  settle() {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  /** Where a point lies on the page, [x, y] in pixels of the canvas. */
  project(at, into = [0, 0]) {
    return this.placed(this.three[3 * at], this.three[3 * at + 1], this.three[3 * at + 2], into);
  }

  /** Where a place of the map lies on the page. */
  placed(x, y, z, into = [0, 0]) {
    const m = this.matrix;
    const w = m[3] * x + m[7] * y + m[11] * z + m[15];
    into[0] = (((m[0] * x + m[4] * y + m[8] * z + m[12]) / w + 1) * this.width) / 2;
    into[1] = ((1 - (m[1] * x + m[5] * y + m[9] * z + m[13]) / w) * this.height) / 2;
    return into;
  }

  /** The point nearest to a place on the page within some pixels; -1: none. */
  nearest(x, y, within) {
    let best = -1;
    let least = within * within;
    const here = [0, 0];
    for (let at = 0; at < this.count; at++) {
      if (this.standing[at] < PLAIN) continue;
      this.project(at, here);
      const far = (here[0] - x) ** 2 + (here[1] - y) ** 2;
      if (far < least) [best, least] = [at, far];
    }
    return best;
  }

  /** The points within a polygon on the page, given as [x, y] corners; dimmed ones are left out. */
  within(corners) {
    const xs = corners.map(([x]) => x);
    const ys = corners.map(([, y]) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const found = [];
    const here = [0, 0];
    for (let at = 0; at < this.count; at++) {
      if (this.standing[at] < PLAIN) continue;
      const [x, y] = this.project(at, here);
      if (x < left || x > right || y < top || y > bottom) continue;
      let inside = false;
      for (let n = 0, last = corners.length - 1; n < corners.length; last = n++) {
        const [[ax, ay], [bx, by]] = [corners[n], corners[last]];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
      }
      if (inside) found.push(at);
    }
    return found;
  }
}
