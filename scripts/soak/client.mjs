/**
 * One connection of the soak: a socket that behaves as its seed says, and what it makes of the server's answers. Nothing of ferrywire but
 * the frame codec is used, so that a mistake of the connection cannot hide behind the same mistake here.
 */

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { deflateRawSync } from 'node:zlib';
import { FrameParser, serializeClosePayload, serializeFrame } from '@ferrywire/core/frame';

/** @typedef {import('./random.mjs').Random} Random */
/** @typedef {(client: Client) => Promise<string | null>} Behaviour Resolves with what was wrong, or null. */

/** Longer than every deadline of the server together. */
const PATIENCE = 30_000;

class Client {
  /** @param {number} port @param {Random} random @param {AbortSignal} signal */
  constructor(port, random, signal) {
    this.random = random;
    this.signal = signal;
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    /** @type {import('@ferrywire/core/frame').ParsedFrame[]} */
    this.frames = [];
    this.head = '';
    this.over = false;
    this.isReset = false;
    this.parser = new FrameParser();
    /** @type {(() => void)[]} */
    this.waiting = [];
    const wake = () => {
      for (const call of this.waiting.splice(0)) call();
    };
    this.socket.on('data', (/** @type {Buffer} */ chunk) => {
      this.take(chunk);
      wake();
    });
    signal.addEventListener('abort', wake, { once: true });
    this.socket.on('end', () => {
      this.over = true;
      wake();
    });
    this.socket.on('error', () => {
      this.isReset = true;
    });
    this.socket.on('close', () => {
      this.over = true;
      wake();
    });
  }

  /** @param {Uint8Array} chunk */
  take(chunk) {
    if (this.head.endsWith('\r\n\r\n')) this.frames.push(...this.parser.push(chunk));
    else {
      const text = this.head + Buffer.from(chunk).toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      this.head = end < 0 ? text : text.slice(0, end + 4);
      if (end >= 0) this.frames.push(...this.parser.push(Buffer.from(text.slice(end + 4), 'latin1')));
    }
  }

  /** @param {() => boolean} done Resolves with false when the connection ended, or patience did. */
  async until(done) {
    while (!done()) {
      if (this.over || this.signal.aborted) return false;
      await new Promise((resolve) => {
        this.waiting.push(() => resolve(undefined));
      });
    }
    return true;
  }

  /** Writes in pieces, with rests between some of them. @param {Uint8Array} bytes */
  async write(bytes) {
    const { random } = this;
    const pieces = random.chance(0.5) ? 1 : random.integer(1, 8);
    for (let piece = 0, at = 0; piece < pieces && at < bytes.length; piece++) {
      const end = piece === pieces - 1 ? bytes.length : Math.min(bytes.length, at + 1 + random.size(bytes.length));
      this.socket.write(bytes.subarray(at, end));
      at = end;
      if (random.chance(0.2)) await sleep(random.integer(0, 5));
    }
  }

  /** @param {import('@ferrywire/core/frame').FrameInit} frame */
  frame(frame) {
    return serializeFrame({ ...frame, maskKey: this.random.integer(0, 0xffff_ffff) });
  }

  /** @param {string} [extra] */
  async open(extra = '') {
    const head = `GET / HTTP/1.1\r\nHost: soak\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${extra}\r\n`;
    await this.write(Buffer.from(head));
    return (await this.until(() => this.head.endsWith('\r\n\r\n'))) && this.head.startsWith('HTTP/1.1 101 ');
  }

  /** The next frame that is no ping, pings answered; null at the end. */
  async next() {
    for (;;) {
      if (!(await this.until(() => this.frames.length > 0)) && this.frames.length === 0) return null;
      const frame = /** @type {import('@ferrywire/core/frame').ParsedFrame} */ (this.frames.shift());
      if (frame.header.opcode !== 9) return frame;
      this.socket.write(this.frame({ opcode: 10, payload: frame.payload }));
    }
  }

  /** One message, in one frame or several. @param {Uint8Array} payload @param {1 | 2} opcode */
  async message(payload, opcode) {
    const { random } = this;
    const parts = random.chance(0.7) ? 1 : random.integer(2, 5);
    let at = 0;
    for (let part = 0; part < parts; part++) {
      const fin = part === parts - 1;
      const end = fin ? payload.length : Math.min(payload.length, at + random.size(payload.length + 1));
      await this.write(this.frame({ opcode: part === 0 ? opcode : 0, fin, payload: payload.subarray(at, end) }));
      at = end;
      if (!fin && random.chance(0.3)) await this.write(this.frame({ opcode: 9, payload: random.bytes(4) }));
    }
  }

  /** @param {number} code */
  async close(code) {
    await this.write(this.frame({ opcode: 8, payload: serializeClosePayload(code) }));
    for (let frame = await this.next(); frame !== null; frame = await this.next()) {
      if (frame.header.opcode !== 8) continue;
      const answer = frame.payload.length < 2 ? 1005 : Buffer.from(frame.payload).readUInt16BE(0);
      if (answer !== code) return `close ${code} was answered with ${answer}`;
      await this.until(() => false);
      this.socket.end();
      return null;
    }
    return 'no answer to the close frame';
  }

  /** Waits for the server's close frame, up to its FIN. @param {readonly number[]} codes */
  async failedWith(codes) {
    for (let frame = await this.next(); frame !== null; frame = await this.next()) {
      if (frame.header.opcode !== 8) continue;
      const code = frame.payload.length < 2 ? 1005 : Buffer.from(frame.payload).readUInt16BE(0);
      await this.until(() => false);
      this.socket.end();
      return codes.includes(code) ? null : `failed with ${code}, not with ${codes.join(' or ')}`;
    }
    return 'ended without a close frame';
  }
}

/** @param {Client} client */
function sample(client) {
  const { random } = client;
  const payload = new Uint8Array(random.size(60_000)).fill(random.integer(0x20, 0x7e));
  return { payload, opcode: /** @type {1 | 2} */ (random.integer(1, 2)) };
}

/** @type {Readonly<Record<string, Behaviour>>} */
export const behaviours = {
  async orderly(client) {
    if (!(await client.open())) return 'not upgraded';
    for (let count = client.random.integer(0, 20); count > 0; count--) {
      const { payload, opcode } = sample(client);
      await client.message(payload, opcode);
      let echo = await client.next();
      while (echo !== null && echo.header.opcode === 10) echo = await client.next();
      if (echo === null || echo.header.opcode !== opcode || Buffer.compare(echo.payload, payload) !== 0)
        return 'the echo is not what was sent';
    }
    return client.close(client.random.pick([1000, 1001, 3000, 4999]));
  },
  async compressed(client) {
    if (!(await client.open('Sec-WebSocket-Extensions: permessage-deflate\r\n'))) return 'not upgraded';
    if (!client.head.includes('permessage-deflate')) return 'no compression';
    for (let count = client.random.integer(1, 10); count > 0; count--) {
      const payload = new Uint8Array(client.random.size(200_000)).fill(0x61);
      const packed = deflateRawSync(payload, { finishFlush: 2 }).subarray(0, -4);
      await client.write(client.frame({ opcode: 2, rsv: 4, payload: packed }));
      if ((await client.next())?.header.opcode !== 2) return 'no echo of a compressed message';
    }
    return client.close(1000);
  },
  async bomb(client) {
    if (!(await client.open('Sec-WebSocket-Extensions: permessage-deflate\r\n'))) return 'not upgraded';
    const packed = deflateRawSync(new Uint8Array(5_000_000), { finishFlush: 2 }).subarray(0, -4);
    await client.write(client.frame({ opcode: 2, rsv: 4, payload: packed }));
    return client.failedWith([1009]);
  },
  async violation(client) {
    if (!(await client.open())) return 'not upgraded';
    if (client.random.chance(0.5)) await client.message(sample(client).payload, 2);
    /** @type {readonly (readonly [Uint8Array, number])[]} */
    const illegal = [
      [client.frame({ opcode: 3 }), 1002],
      [client.frame({ opcode: 1, rsv: 2 }), 1002],
      [client.frame({ opcode: 0 }), 1002],
      [client.frame({ opcode: 9, fin: false }), 1002],
      [client.frame({ opcode: 1, payload: Uint8Array.of(0xc0) }), 1007],
      [client.frame({ opcode: 8, payload: Uint8Array.of(3) }), 1002],
      [client.frame({ opcode: 2, payload: new Uint8Array(300_000) }), 1009],
      [serializeFrame({ opcode: 1, payload: Uint8Array.of(0x61) }), 1002],
    ];
    const [bytes, code] = client.random.pick(illegal);
    await client.write(bytes);
    // What comes behind it is discarded, so that no reset eats the close frame.
    if (client.random.chance(0.5)) await client.write(new Uint8Array(client.random.size(50_000)));
    return client.failedWith([code]);
  },
  async reset(client) {
    if (await client.open()) await client.message(sample(client).payload, 2);
    client.socket.resetAndDestroy();
    return null;
  },
  async cut(client) {
    if (!(await client.open())) return 'not upgraded';
    const frame = client.frame({ opcode: 2, payload: client.random.bytes(100) });
    client.socket.write(frame.subarray(0, client.random.integer(0, frame.length - 1)));
    client.socket.end();
    await client.until(() => false);
    return null;
  },
  async garbage(client) {
    client.socket.write(client.random.bytes(client.random.size(20_000)));
    client.socket.end();
    await client.until(() => false);
    return client.head.startsWith('HTTP/1.1 101') ? 'garbage was upgraded' : null;
  },
  async refused(client) {
    if (await client.open('Content-Length: 5\r\n')) return 'a body was taken';
    if (!client.head.startsWith('HTTP/1.1 400 ')) return `not 400: ${client.head.slice(0, 30)}`;
    client.socket.end();
    await client.until(() => false);
    return null;
  },
  /** Says nothing, or half a head: the opening deadline is the server's. */
  async silentHead(client) {
    if (client.random.chance(0.5)) client.socket.write('GET / HTTP/1.1\r\nHost: s');
    await client.until(() => false);
    if (client.signal.aborted) return 'the opening deadline did not fire';
    client.socket.destroy();
    return null;
  },
  /** Opens and says nothing, not even pongs. */
  async silent(client) {
    if (!(await client.open())) return 'not upgraded';
    await client.until(() => false);
    if (client.signal.aborted) return 'the pong deadline did not fire';
    client.socket.destroy();
    return null;
  },
  /** Sends and reads nothing. */
  async deaf(client) {
    if (!(await client.open())) return 'not upgraded';
    client.socket.pause();
    const frame = client.frame({ opcode: 2, payload: new Uint8Array(60_000) });
    for (let count = 0; count < 100 && client.socket.writableLength < 1_000_000; count++) client.socket.write(frame);
    await sleep(client.random.integer(0, 500));
    if (client.random.chance(0.5)) {
      client.socket.destroy();
      return null;
    }
    client.socket.resume();
    client.socket.write(client.frame({ opcode: 8, payload: serializeClosePayload(1000) }));
    await client.until(() => client.frames.some(({ header }) => header.opcode === 8));
    await client.until(() => false);
    client.socket.end();
    return client.signal.aborted ? 'did not end after a stall' : null;
  },
  async pings(client) {
    if (!(await client.open())) return 'not upgraded';
    const count = client.random.integer(1, 2000);
    const ping = client.frame({ opcode: 9, payload: Uint8Array.of(1, 2, 3) });
    await client.write(Buffer.concat(Array.from({ length: count }, () => ping)));
    return client.close(1000);
  },
  /** Closes, and never ends TCP: the closing deadline is the server's. */
  async lingering(client) {
    if (!(await client.open())) return 'not upgraded';
    client.socket.write(client.frame({ opcode: 8, payload: serializeClosePayload(1000) }));
    await client.until(() => false);
    const closed = new Promise((resolve) => client.socket.once('close', resolve));
    // A half-open socket does not notice by itself: it writes until the reset comes.
    const poke = setInterval(() => client.socket.write('x'), 200);
    await Promise.race([closed, sleep(PATIENCE, undefined, { ref: false })]);
    clearInterval(poke);
    return client.socket.destroyed ? null : 'the closing deadline did not fire';
  },
};

/**
 * One connection from its beginning to its end.
 *
 * @param {number} port
 * @param {string} name
 * @param {Random} random
 * @returns {Promise<string | null>} What was wrong, or null.
 */
export async function live(port, name, random) {
  const behaviour = behaviours[name];
  if (behaviour === undefined) throw new Error(name);
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE);
  const client = new Client(port, random, patience.signal);
  try {
    const wrong = await behaviour(client);
    return wrong ?? (patience.signal.aborted ? 'took too long' : null);
  } finally {
    clearTimeout(timer);
    client.socket.destroy();
  }
}
