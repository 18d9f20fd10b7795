/**
 * A model's weights, out of the base64 text that carries them: exporting/packing.py, backwards.
 *
 *     const weights = unpack(data.models[0], document.getElementById("weights-end").textContent);
 *     weights.get("lm_head.weight");    // { shape: [81, 128], data: Float32Array }
 *
 * Whatever the precision of the file, what comes out is float32. Bytes are little-endian.
 */

/** @typedef {import("./engine.js").Weights} Weights */

/**
 * Where a tensor lies in its block, and how its numbers are written.
 *
 * @typedef {object} Packed
 * @property {string} name
 * @property {number[]} shape
 * @property {"int8" | "fp16" | "fp32"} kind
 * @property {number} offset
 * @property {number} [scale_offset] of int8: one scale for each row
 */

/**
 * The bytes that a base64 text stands for.
 *
 * @param {string} base64
 */
export function bytesOf(base64) {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/**
 * The number that 16 bits stand for: sign, 5 bits of exponent, 10 of fraction (IEEE 754).
 *
 * @param {number} bits
 */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/**
 * One tensor's numbers.
 *
 * @param {DataView} block
 * @param {Packed} packed
 */
function numbers(block, { shape, kind, offset, scale_offset = 0 }) {
  const data = new Float32Array(shape.reduce((size, axis) => size * axis, 1));
  const width = shape[shape.length - 1];
  if (kind === "fp32") {
    for (let i = 0; i < data.length; i++) data[i] = block.getFloat32(offset + 4 * i, true);
  } else if (kind === "fp16") {
    for (let i = 0; i < data.length; i++) data[i] = half(block.getUint16(offset + 2 * i, true));
  } else {
    for (let row = 0; row * width < data.length; row++) {
      const scale = block.getFloat32(scale_offset + 4 * row, true);
      for (let i = row * width; i < (row + 1) * width; i++) {
        data[i] = block.getInt8(offset + i) * scale;
      }
    }
  }
  return data;
}

/**
 * The tensors of a model under their names.
 *
 * @param {{ tensors: Packed[] }} model
 * @param {string} base64
 * @returns {Weights}
 */
export function unpack(model, base64) {
  const block = new DataView(bytesOf(base64).buffer);
  return new Map(
    model.tensors.map((packed) => [
      packed.name,
      { shape: packed.shape, data: numbers(block, packed) },
    ]),
  );
}
