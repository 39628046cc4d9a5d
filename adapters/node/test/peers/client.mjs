// The runtime's own WebSocket as a client, against the server of interop.test.ts. Prints one line per step; exit code 1 at the first that
// is not as it should be. Runs unchanged on Node from 22, Bun and Deno: `client.mjs ws://127.0.0.1:PORT/`.
const url = process.argv[2] ?? '';

/** @type {(string | Uint8Array)[]} */
const inbox = [];
/** @type {(() => void)[]} */
const waiting = [];
/** @type {{ code: number, reason: string, wasClean: boolean } | null} */
let closed = null;

/** @returns {Promise<WebSocket>} */
function open() {
  inbox.length = 0;
  closed = null;
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new Error('did not open'));
    socket.onmessage = ({ data }) => {
      inbox.push(typeof data === 'string' ? data : new Uint8Array(data));
      for (const wake of waiting.splice(0)) wake();
    };
    socket.onclose = ({ code, reason, wasClean }) => {
      closed = { code, reason, wasClean };
      for (const wake of waiting.splice(0)) wake();
    };
  });
}
async function next() {
  while (inbox.length === 0) {
    if (closed !== null) throw new Error(`closed ${closed.code} instead of a message`);
    await new Promise((resolve) => waiting.push(() => resolve(undefined)));
  }
  return inbox.shift() ?? '';
}
async function end() {
  while (closed === null) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
  return closed;
}
/**
 * @param {string} name
 * @param {boolean} condition
 * @param {unknown} [seen]
 */
function check(name, condition, seen) {
  if (!condition) {
    console.log(`failed: ${name}: ${JSON.stringify(seen)}`);
    process.exit(1);
  }
  console.log(name);
}
/**
 * @param {string | Uint8Array} a
 * @param {string | Uint8Array} b
 */
function same(a, b) {
  return typeof a === 'string' || typeof b === 'string' ? a === b : a.length === b.length && a.every((byte, index) => byte === b[index]);
}

const socket = await open();
for (const [name, message] of /** @type {const} */ ([
  ['text', 'grüße, 世界 \u{1f6a2}'],
  ['empty', ''],
  ['binary', Uint8Array.from({ length: 256 }, (_, index) => index)],
  ['1 MiB of text', 'é'.repeat(524_288)],
  ['1 MiB of binary', Uint8Array.from({ length: 1_048_576 }, (_, index) => (index * 31) & 255)],
])) {
  socket.send(message);
  const answer = await next();
  check(name, same(answer, message), answer.length);
}
for (let index = 0; index < 200; index++) socket.send(`burst ${index}`);
let inOrder = true;
for (let index = 0; index < 200; index++) inOrder &&= (await next()) === `burst ${index}`;
check('200 messages in a burst', inOrder);
socket.send('command: fragments');
check('fragments with a ping between them', (await next()) === 'one, two, three');
socket.send('command: ping');
check('pong to our ping', (await next()) === 'pong: are you there');
socket.close(3456, 'client is done');
const own = await end();
check('close by the client', own.code === 3456 && own.reason === 'client is done' && own.wasClean, own);

const second = await open();
second.send('command: close 4321 server is done');
const theirs = await end();
check('close by the server', theirs.code === 4321 && theirs.reason === 'server is done' && theirs.wasClean, theirs);

const third = await open();
third.send('command: violation');
const failed = await end();
check('a violation of the protocol ends the connection', failed.code !== 1000 && !failed.wasClean, failed);
process.exit(0);
