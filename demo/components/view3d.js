// Occupancy grids drawn in the browser. One WebGL context draws every view, and the meshes are made here from the
// cells, so that camera, level and style answer without asking the server. A grid is a byte a cell, x slowest, z up.
const PAD = 2; // empty cells around the grid, so that shapes at its border are closed

// Cells with an empty border, as `Kind` of array.
function padded(cells, size, Kind) {
  const n = size + 2 * PAD, field = new Kind(n ** 3);
  for (let x = 0; x < size; x++) for (let y = 0; y < size; y++)
    field.set(cells.subarray((x * size + y) * size, (x * size + y + 1) * size), ((x + PAD) * n + y + PAD) * n + PAD);
  return field;
}

// Surface nets (Gibson 1998): one vertex in every cell that the surface crosses, one square for every crossed edge.
function surface(cells, size, level) {
  const n = size + 2 * PAD, field = padded(cells, size, Float32Array), step = [n * n, n, 1], scale = 2 / size, cut = 255 * level;
  const full = field.map((v) => (v >= cut ? 1 : 0));
  const corners = Array.from({ length: 8 }, (_, c) => [c >> 2, (c >> 1) & 1, c & 1]);
  const offset = corners.map(([x, y, z]) => x * n * n + y * n + z);
  const edges = [];
  for (let a = 0; a < 8; a++) for (const bit of [1, 2, 4]) if (!(a & bit)) edges.push([a, a | bit]);
  const vertex = new Int32Array(n ** 3), position = [], normal = [], index = [], sum = [0, 0, 0], slope = [0, 0, 0];
  for (let x = 1; x < n - 2; x++) for (let y = 1; y < n - 2; y++) for (let z = 1, o = (x * n + y) * n + 1; z < n - 2; z++, o++) {
    let inside = 0;
    for (let c = 0; c < 8; c++) inside += full[o + offset[c]];
    if (inside === 0 || inside === 8) continue;
    sum.fill(0);
    slope.fill(0);
    let count = 0;
    for (let i = 0; i < 12; i++) {
      const a = edges[i][0], b = edges[i][1], p = o + offset[a], q = o + offset[b];
      if (full[p] === full[q]) continue;
      const t = (cut - field[p]) / (field[q] - field[p]);
      for (let d = 0; d < 3; d++) sum[d] += corners[a][d] + t * (corners[b][d] - corners[a][d]);
      count++;
    }
    for (let c = 0; c < 8; c++) for (let d = 0; d < 3; d++) slope[d] += field[o + offset[c] - step[d]] - field[o + offset[c] + step[d]];
    const length = Math.sqrt(slope[0] ** 2 + slope[1] ** 2 + slope[2] ** 2) || 1;
    vertex[o] = position.length / 3;
    for (let d = 0; d < 3; d++) {
      position.push(((d === 0 ? x : d === 1 ? y : z) - PAD + sum[d] / count + 0.5) * scale - 1);
      normal.push(slope[d] / length);
    }
  }
  for (let d = 0; d < 3; d++) {
    const s = step[d], u = step[(d + 1) % 3], v = step[(d + 2) % 3];
    for (let o = n * n + n + 1; o < n ** 3 - n * n; o++) {
      if (full[o] === full[o + s]) continue;
      const a = vertex[o - u - v], c = vertex[o];
      index.push(a, vertex[o - v], c, a, c, vertex[o - u]);
    }
  }
  return { position: relaxed(position, index), normal, index };
}

// Every vertex halfway to the middle of its neighbours: takes the stairs out of grids of zeros and ones.
function relaxed(position, index) {
  const sum = new Float32Array(position.length), count = new Uint16Array(position.length / 3);
  for (let i = 0; i < index.length; i += 6) {
    const square = [index[i], index[i + 1], index[i + 2], index[i + 5]];
    for (let k = 0; k < 4; k++) {
      const here = square[k], one = square[(k + 1) % 4], two = square[(k + 3) % 4];
      count[here] += 2;
      for (let d = 0; d < 3; d++) sum[3 * here + d] += position[3 * one + d] + position[3 * two + d];
    }
  }
  return position.map((p, i) => (p + sum[i] / count[Math.floor(i / 3)]) / 2);
}

// The outer squares of the full cells: `full` holds 1 or 0 for each.
function blocks(full, size) {
  const n = size + 2 * PAD, field = padded(full, size, Uint8Array), step = [n * n, n, 1], scale = 2 / size;
  const position = [], normal = [], index = [], around = [[0, 0], [1, 0], [1, 1], [0, 1]];
  for (let x = PAD; x < n - PAD; x++) for (let y = PAD; y < n - PAD; y++) for (let z = PAD; z < n - PAD; z++) {
    const o = (x * n + y) * n + z;
    if (!field[o]) continue;
    for (let d = 0; d < 3; d++) for (const side of [0, 1]) {
      if (field[side ? o + step[d] : o - step[d]]) continue;
      const first = position.length / 3;
      for (const [u, v] of around) {
        const corner = [x - PAD, y - PAD, z - PAD];
        corner[d] += side; corner[(d + 1) % 3] += u; corner[(d + 2) % 3] += v;
        for (let i = 0; i < 3; i++) { position.push(corner[i] * scale - 1); normal.push(i === d ? 2 * side - 1 : 0); }
      }
      index.push(first, first + 1, first + 2, first, first + 2, first + 3);
    }
  }
  return { position, normal, index };
}

// Right, up and towards the eye, as rows; the same view as affinevae.render.view_axes.
function viewAxes([azimuth, elevation]) {
  const [a, e] = [azimuth, elevation].map((d) => (d * Math.PI) / 180);
  const [c, s, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
  return [[-s, c, 0], [-se * c, -se * s, ce], [ce * c, ce * s, se]];
}

const NEAR = 0.2; // perspective: how much nearer things grow
const VERTEX = `#version 300 es
in vec3 position, normal; uniform mat3 axes; uniform float zoom; out vec3 facing, place, side;
void main() {
  vec3 seen = axes * position; facing = axes * normal; place = position; side = abs(normal);
  float w = 1.0 - ${NEAR} * seen.z;
  gl_Position = vec4(zoom * seen.xy, -0.3 * seen.z * w, w);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 facing, place, side; uniform vec4 colour; uniform float cells; uniform bool lit; out vec4 paint;
void main() {
  if (!lit) { paint = vec4(colour.rgb * colour.a, colour.a); return; }
  vec3 n = normalize(facing);
  float shade = 0.28 + 0.3 * (0.5 + 0.5 * n.y) + 0.72 * max(0.0, dot(n, vec3(-0.35, 0.55, 0.76)));
  if (cells > 0.0) { // the outline of every block
    vec3 across = abs(fract((place * 0.5 + 0.5) * cells) - 0.5) * (1.0 - step(0.5, side));
    shade *= 1.0 - 0.28 * smoothstep(0.42, 0.5, max(across.x, max(across.y, across.z)));
  }
  paint = vec4(min(colour.rgb * shade, 1.0), 1.0);
}`;

// Null where there is no WebGL. paint(canvas, view, solids): solids are {mesh, colour, cells}. Phones take a page's
// WebGL away when it sleeps: then `lost` is called, and what was uploaded is gone.
function makePainter(lost) {
  const glass = document.createElement("canvas"), gl = glass.getContext("webgl2", { antialias: true, premultipliedAlpha: true });
  if (!gl) return null;
  glass.addEventListener("webglcontextlost", lost);
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  const at = (name) => gl.getUniformLocation(program, name);
  const [axes, zoom, colour, cells, lit] = ["axes", "zoom", "colour", "cells", "lit"].map(at);
  const slots = ["position", "normal"].map((name) => gl.getAttribLocation(program, name));
  const circle = Array.from({ length: 96 }, (_, i) => [0.72 * Math.cos((i * Math.PI) / 48), 0.72 * Math.sin((i * Math.PI) / 48), -0.96]);
  const floor = upload({ position: circle.flat(), normal: circle.flat(), index: circle.map((_, i) => i) });

  function upload({ position, normal, index }) {
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const buffers = [position, normal].map((values, i) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(values), gl.STATIC_DRAW);
      gl.enableVertexAttribArray(slots[i]);
      gl.vertexAttribPointer(slots[i], 3, gl.FLOAT, false, 0, 0);
      return buffer;
    });
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint32Array(index), gl.STATIC_DRAW);
    return { array, buffers: [...buffers, buffer], count: index.length };
  }

  function forget({ array, buffers }) {
    gl.deleteVertexArray(array);
    buffers.forEach((buffer) => gl.deleteBuffer(buffer));
  }

  function paint(canvas, view, solids) {
    const { width, height } = canvas;
    if (glass.width < width || glass.height < height) Object.assign(glass, { width, height });
    gl.viewport(0, glass.height - height, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.uniformMatrix3fv(axes, true, viewAxes(view).flat());
    gl.uniform1f(zoom, 0.9 * view[2]);
    for (const solid of solids) {
      gl.uniform1i(lit, 1);
      gl.uniform1f(cells, solid.cells);
      gl.uniform4fv(colour, [...solid.colour, 1]);
      gl.bindVertexArray(solid.mesh.array);
      gl.drawElements(gl.TRIANGLES, solid.mesh.count, gl.UNSIGNED_INT, 0);
    }
    gl.uniform1i(lit, 0);
    gl.uniform4fv(colour, [0.48, 0.52, 0.58, 0.55]);
    gl.bindVertexArray(floor.array);
    gl.drawElements(gl.LINE_LOOP, floor.count, gl.UNSIGNED_INT, 0);
    const picture = canvas.getContext("2d");
    picture.clearRect(0, 0, width, height);
    picture.drawImage(glass, 0, 0, width, height, 0, 0, width, height);
  }
  return { upload, forget, paint };
}
