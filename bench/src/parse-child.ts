/**
 * One variant of the `parse` measurement: `node parse-child.js VARIANT KIND SIZE`. Feeds reads of a socket to a receiver in server role
 * and reports CPU per message. Checks first that every message arrives with every byte.
 *
 * A read is what the library's own server makes of it: bytes come into memory that is made for them (`net`, Bun), or into a buffer that the next
 * read will use again (`listen()` on Node and Deno). Either way they are copied there, as the system would do it.
 */
import { answer, collectGarbage, cpuMicros } from './answer.ts';
import { loadWebsocketDriver, loadWsReceiver } from './peers.ts';
import { clientStream, type PayloadKind } from './wire.ts';

/** What `net` reads at a time. */
const READ_SIZE = 64 * 1024;

interface Receiver {
  /** Takes a read of these bytes. */
  push(source: Buffer): void;
  messages: number;
  payload: number;
}

function readFresh(source: Buffer): Buffer {
  const chunk = Buffer.allocUnsafeSlow(source.length);
  source.copy(chunk);
  return chunk;
}

/**
 * Half a page away from where large buffers begin. Some processors copy 25 times slower to memory that lies 1 to 31 bytes behind the source within its page
 * (glibc bug 30994), and buffers of whole pages that are made one after the other lie 16 bytes apart: one read in eight was such a copy, in some processes.
 */
const shared = new Uint8Array(new ArrayBuffer(READ_SIZE + 4096), 2048, READ_SIZE);
function readShared(source: Buffer): Uint8Array {
  shared.set(source);
  return source.length === READ_SIZE ? shared : new Uint8Array(shared.buffer, shared.byteOffset, source.length);
}

async function ferrywire(givesBack: boolean): Promise<Receiver> {
  const { Connection } = await import('@ferrywire/core');
  // As `listen()` does it.
  const { kernels } = await import('@ferrywire/node');
  const shares = process.versions.bun === undefined;
  const read = shares ? readShared : readFresh;
  const receiver: Receiver = { push: (source) => connection.receiveData(read(source)), messages: 0, payload: 0 };
  const connection = new Connection({
    role: 'server',
    clock: () => performance.now(),
    input: shares ? 'reused' : 'transferred',
    kernels,
    sink: {
      onBinary(data) {
        receiver.messages++;
        receiver.payload += data.length;
        if (givesBack) connection.recycleInput(data);
      },
      onText(text) {
        receiver.messages++;
        receiver.payload += text.length;
      },
      onEnd(info) {
        throw new Error(`the connection ended: ${JSON.stringify(info)}`);
      },
    },
  });
  return receiver;
}

function ws(kind: PayloadKind): Receiver {
  const WsReceiver = loadWsReceiver();
  const target = new WsReceiver({
    isServer: true,
    maxPayload: 100 * 1024 * 1024,
    binaryType: 'nodebuffer',
    allowSynchronousEvents: true,
    extensions: {},
    skipUTF8Validation: false,
  });
  const receiver: Receiver = { push: (source) => void target.write(readFresh(source)), messages: 0, payload: 0 };
  target.on('error', (error) => {
    throw error;
  });
  target.on('message', (data) => {
    receiver.messages++;
    receiver.payload += kind === 'text' ? data.toString().length : data.length;
  });
  return receiver;
}

function websocketDriver(): Receiver {
  const driver = loadWebsocketDriver().server({ maxLength: 100 * 1024 * 1024 });
  const receiver: Receiver = { push: (source) => driver.parse(readFresh(source)), messages: 0, payload: 0 };
  driver.on('error', (error) => {
    throw error;
  });
  driver.on('connect', () => void driver.start());
  driver.io.on('data', () => {});
  driver.messages.on('data', (data) => {
    receiver.messages++;
    receiver.payload += data.length;
  });
  driver.parse(
    Buffer.from(
      'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    ),
  );
  return receiver;
}

const variants: Readonly<Record<string, (kind: PayloadKind) => Receiver | Promise<Receiver>>> = {
  ferrywire: () => ferrywire(false),
  'ferrywire given back': () => ferrywire(true),
  'ws+bufferutil': ws,
  ws,
  'websocket-driver': websocketDriver,
};

const [variant = '', kindArgument = '', sizeArgument = ''] = process.argv.slice(2);
const create = variants[variant];
if (create === undefined) throw new Error(`no variant ${variant}`);
const kind: PayloadKind = kindArgument === 'text' ? 'text' : 'binary';
const size = Number(sizeArgument);
const stream = clientStream(kind, size, Math.max(512 * 1024, 4 * size), READ_SIZE);
const receiver = await create(kind);
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Passes over the stream until that much CPU is used; whole passes only. */
async function feed(micros: number): Promise<{ messages: number; micros: number }> {
  const start = cpuMicros();
  const before = receiver.messages;
  let used = 0;
  do {
    for (const chunk of stream.chunks) receiver.push(chunk);
    // Callbacks of streams run here; a socket would also return to the loop after a few reads.
    await settle();
    used = cpuMicros() - start;
  } while (used < micros);
  return { messages: receiver.messages - before, micros: used };
}

for (const chunk of stream.chunks) receiver.push(chunk);
await settle();
if (receiver.messages !== stream.messages || receiver.payload !== stream.payloadBytes) {
  throw new Error(`${variant}: ${receiver.messages} of ${stream.messages} messages, ${receiver.payload} of ${stream.payloadBytes} bytes`);
}

answer(async (question) => {
  collectGarbage();
  return await feed(Number(question.micros));
});
