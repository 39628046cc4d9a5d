/**
 * The load process of the end-to-end measurements: opens connections to a server, keeps a window of messages in flight on each, counts
 * whole replies. It must cost less than the server under test, so it sends prepared bytes, reads into one static buffer and looks at
 * lengths only; contents are checked once per connection, before anything is measured.
 */
import { connect, type Socket } from 'node:net';
import { answer, cpuMicros } from './answer.ts';
import { clientFrame, serverFrameSize } from './wire.ts';

/** `ws`: upgrade, masked frames out, unmasked frames back. `raw`: no upgrade, the same bytes back. */
type Mode = 'ws' | 'raw';

interface Shape {
  readonly mode: Mode;
  readonly frame: Buffer;
  /** `window` frames in a row. */
  readonly block: Buffer;
  readonly window: number;
  readonly replySize: number;
}

const UPGRADE = (port: number): string =>
  `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`;

const receiveBuffer = Buffer.allocUnsafeSlow(256 * 1024);

let shape: Shape | null = null;
let running = false;
let inFlight = 0;
let messages = 0;
let finished: (() => void) | null = null;

class Connection {
  readonly socket: Socket;
  /** Bytes of a reply that is not whole yet. */
  partial = 0;
  /** Set while the connection is being opened or checked: gets every byte. */
  reader: ((chunk: Buffer) => void) | null = null;

  constructor(port: number) {
    this.socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer: receiveBuffer,
        callback: (count) => {
          this.received(count);
          return true;
        },
      },
    });
    this.socket.on('error', (error) => {
      console.error('load:', error.message);
      process.exit(1);
    });
    this.socket.on('close', () => {
      if (!closing) {
        console.error('load: the server closed a connection');
        process.exit(1);
      }
    });
  }

  received(count: number): void {
    if (this.reader !== null) {
      this.reader(Buffer.from(receiveBuffer.subarray(0, count)));
      return;
    }
    if (shape === null) return;
    const total = this.partial + count;
    const whole = Math.floor(total / shape.replySize);
    this.partial = total - whole * shape.replySize;
    if (whole === 0) return;
    messages += whole;
    inFlight -= whole;
    if (running) this.send(shape, whole);
    else if (inFlight === 0) finished?.();
  }

  send(current: Shape, count: number): void {
    inFlight += count;
    this.socket.write(count === current.window ? current.block : current.block.subarray(0, count * current.frame.length));
  }

  /** Collects at least `size` bytes. */
  collect(size: (received: Buffer) => number): Promise<Buffer> {
    let received: Buffer = Buffer.alloc(0);
    return new Promise((resolve) => {
      this.reader = (chunk) => {
        received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
        const wanted = size(received);
        if (wanted > 0 && received.length >= wanted) {
          this.reader = null;
          resolve(received);
        }
      };
    });
  }

  async open(mode: Mode, port: number): Promise<void> {
    if (this.socket.connecting) await new Promise<void>((resolve) => this.socket.once('connect', () => resolve()));
    if (mode === 'raw') return;
    const head = this.collect((received) => received.indexOf('\r\n\r\n') + 4 - (received.includes('\r\n\r\n') ? 0 : 4));
    this.socket.write(UPGRADE(port));
    const answered = (await head).toString('latin1');
    if (!answered.startsWith('HTTP/1.1 101 ')) throw new Error(`not upgraded: ${answered.split('\r\n', 1)[0]}`);
  }

  /** One message there and back, every byte compared. */
  async check(current: Shape): Promise<void> {
    const reply = this.collect(() => current.replySize);
    this.socket.write(current.frame);
    const got = await reply;
    if (!got.equals(expectedReply(current))) throw new Error(`wrong echo: ${got.length} bytes, ${got.subarray(0, 16).toString('hex')}`);
  }
}

function expectedReply({ mode, frame, replySize }: Shape): Buffer {
  if (mode === 'raw') return frame;
  const headerSize = 2 + ((frame[1] ?? 0) === 0xfe ? 2 : (frame[1] ?? 0) === 0xff ? 8 : 0);
  const reply = Buffer.alloc(replySize);
  frame.copy(reply, 0, 0, headerSize);
  reply[1] = (reply[1] ?? 0) & 0x7f;
  for (let index = 0; headerSize + index < replySize; index++) {
    reply[headerSize + index] = (frame[headerSize + 4 + index] ?? 0) ^ (frame[headerSize + (index & 3)] ?? 0);
  }
  return reply;
}

let connections: Connection[] = [];
let closing = false;

async function open(mode: Mode, port: number, count: number): Promise<void> {
  closing = false;
  // A backlog of connections may be refused when it is long.
  const step = 100;
  for (let start = 0; start < count; start += step) {
    const added = Array.from({ length: Math.min(step, count - start) }, () => new Connection(port));
    connections.push(...added);
    await Promise.all(added.map((connection) => connection.open(mode, port)));
  }
}

async function run(milliseconds: number): Promise<{ messages: number; micros: number }> {
  const current = shape;
  if (current === null) throw new Error('no shape');
  messages = 0;
  const start = cpuMicros();
  running = true;
  const done = new Promise<void>((resolve) => {
    finished = resolve;
  });
  for (const connection of connections) connection.send(current, current.window);
  setTimeout(() => {
    running = false;
  }, milliseconds);
  await done;
  finished = null;
  return { messages, micros: cpuMicros() - start };
}

answer(async (question) => {
  switch (question.do) {
    case 'shape': {
      const size = Number(question.size);
      const window = Number(question.window);
      const mode: Mode = question.mode === 'raw' ? 'raw' : 'ws';
      const frame = clientFrame('binary', size);
      const block = Buffer.concat(Array.from({ length: window }, () => frame));
      shape = { mode, frame, block, window, replySize: mode === 'raw' ? frame.length : serverFrameSize(size) };
      await open(mode, Number(question.port), Number(question.connections));
      for (const connection of connections) await connection.check(shape);
      return { open: connections.length };
    }
    case 'run':
      return await run(Number(question.milliseconds));
    case 'idle':
      await open(question.mode === 'raw' ? 'raw' : 'ws', Number(question.port), Number(question.connections));
      return { open: connections.length };
    case 'close': {
      closing = true;
      const gone = connections.map(({ socket }) =>
        socket.closed ? Promise.resolve() : new Promise<void>((resolve) => socket.once('close', () => resolve())),
      );
      for (const { socket } of connections) socket.destroy();
      connections = [];
      await Promise.all(gone);
      return { open: 0 };
    }
    default:
      throw new Error(`no such question: ${String(question.do)}`);
  }
});
