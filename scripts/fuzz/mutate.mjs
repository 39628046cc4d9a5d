/** Inputs made from inputs: bits, bytes, numbers at their edges, blocks moved, words of the protocols, and halves of two inputs. */

const encoder = new TextEncoder();
/** @param {string} text */
const word = (text) => encoder.encode(text);

/** What a fuzzer would take long to find by itself. */
const words = [
  'GET / HTTP/1.1\r\n',
  'HTTP/1.1 101 Switching Protocols\r\n',
  'HTTP/1.1 302 Found\r\n',
  'Host: example.com\r\n',
  'Upgrade: websocket\r\n',
  'Connection: Upgrade\r\n',
  'Connection: keep-alive, Upgrade\r\n',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
  'Sec-WebSocket-Version: 13\r\n',
  'Sec-WebSocket-Protocol: chat\r\n',
  'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n',
  'permessage-deflate',
  '; server_max_window_bits=10',
  '; server_no_context_takeover',
  'Sec-WebSocket-Accept: ',
  'Origin: https://example.com\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  '\r\n\r\n',
  '\r\n',
  '\n',
  'ws://',
  'wss://[::1]:65535/',
  '__proto__',
].map(word);
const frames = [
  [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69],
  [0x01, 0x81, 0, 0, 0, 0, 0x61],
  [0x80, 0x81, 0, 0, 0, 0, 0x62],
  [0x00, 0x80, 0, 0, 0, 0],
  [0x89, 0x80, 0, 0, 0, 0],
  [0x8a, 0x80, 0, 0, 0, 0],
  [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8],
  [0x81, 0xfe, 0x00, 0x7e, 0, 0, 0, 0],
  [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
  [0x81, 0x02, 0x68, 0x69],
  [0x82, 0x00],
  [0xc1, 0x87, 0, 0, 0, 0, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
  [0xe2, 0x82, 0xac],
  [0xf0, 0x9f, 0x98, 0x80],
  [0xed, 0xa0, 0x80],
].map((bytes) => Uint8Array.from(bytes));
const edges = [0, 1, 7, 8, 15, 16, 31, 32, 63, 64, 125, 126, 127, 128, 129, 254, 255];
const LONGEST = 2048;

/** @typedef {import('../soak/random.mjs').Random} Random */

/** @param {Uint8Array} a @param {number} at @param {number} removed @param {Uint8Array} added */
function replace(a, at, removed, added) {
  const result = new Uint8Array(a.length - removed + added.length);
  result.set(a.subarray(0, at));
  result.set(added, at);
  result.set(a.subarray(at + removed), at + added.length);
  return result;
}

/** @type {readonly ((bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array)[]} */
const mutations = [
  (bytes, random) => changed(bytes, random, (byte) => byte ^ (1 << random.integer(0, 7))),
  (bytes, random) => changed(bytes, random, () => random.integer(0, 255)),
  (bytes, random) => changed(bytes, random, () => random.pick(edges)),
  (bytes, random) => changed(bytes, random, (byte) => byte + random.integer(-8, 8)),
  (bytes, random) => replace(bytes, random.integer(0, bytes.length), 0, random.bytes(random.integer(1, 8))),
  (bytes, random) => replace(bytes, random.integer(0, bytes.length), 0, random.pick(frames)),
  (bytes, random) => replace(bytes, random.integer(0, bytes.length), 0, random.pick(words)),
  (bytes, random) => {
    const at = random.integer(0, bytes.length);
    return replace(bytes, at, Math.min(bytes.length - at, random.size(32)), new Uint8Array(0));
  },
  (bytes, random) => {
    const at = random.integer(0, bytes.length);
    return replace(bytes, random.integer(0, bytes.length), 0, bytes.subarray(at, at + 1 + random.size(64)));
  },
  (bytes, random, other) => {
    const at = random.integer(0, other.length);
    return replace(bytes, random.integer(0, bytes.length), 0, other.subarray(at, at + 1 + random.size(64)));
  },
  (bytes, random, other) => {
    const half = bytes.subarray(0, random.integer(0, bytes.length));
    return replace(half, half.length, 0, other.subarray(random.integer(0, other.length)));
  },
];

/** @param {Uint8Array} bytes @param {Random} random @param {(byte: number) => number} change */
function changed(bytes, random, change) {
  const result = bytes.slice();
  if (result.length === 0) return random.bytes(1);
  const at = random.integer(0, result.length - 1);
  result[at] = change(result[at] ?? 0);
  return result;
}

/** @param {Uint8Array} bytes @param {Uint8Array} other @param {Random} random */
export function mutate(bytes, other, random) {
  let result = bytes;
  for (let times = 1 + random.size(8); times > 0; times--) result = random.pick(mutations)(result, random, other);
  return result.length > LONGEST ? result.slice(0, LONGEST) : result;
}
