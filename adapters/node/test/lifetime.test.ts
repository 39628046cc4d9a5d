/** What keeps a process alive, and what a connection does however its bytes are cut. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { listen, type NodeListening } from '@ferrywire/node';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { closeFrame, masked, RawClient, requestFor, text } from './helpers.ts';
import { ask, cleanUp, cleanups, connectHead, RawStream, sessionTo } from './http2-helpers.ts';

const run = promisify(execFile);

afterEach(cleanUp);

describe('unref', () => {
  it('lets a process end with a listener and connections open, over both versions of HTTP', async () => {
    const script = fileURLToPath(new URL('./peers/unref.mjs', import.meta.url));
    const { stdout, stderr } = await run(process.execPath, [script], { timeout: 20_000 });
    expect([stdout, stderr]).toEqual(['4 open\n', '']);
  });

  it('of one connection of a session keeps the process for the others, and for no longer', async () => {
    const child = spawn(process.execPath, [fileURLToPath(new URL('./peers/held.mjs', import.meta.url))]);
    cleanups.push(() => child.kill());
    const exited = once(child, 'exit');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const session = await sessionTo(`http://127.0.0.1:${line.toString().trim()}`);
    const refused = await ask(session, connectHead('/nowhere'));
    refused.stream.close(8);
    await RawStream.open(session);
    const other = await RawStream.open(session);
    other.write(text('still here'));
    expect(await other.text()).toBe('still here');
    other.stream.close(8);
    expect(await exited).toEqual([0, null]);
  });
});

describe('any split of the input', () => {
  let server: NodeListening;
  beforeAll(async () => {
    server = await listen({ limits: { maxMessageSize: 1000 }, handlers: { onMessage: (peer, data) => void peer.send(data) } });
  });
  afterAll(() => server.close({ deadline: 0 }));

  const message = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'é', '€', '\u{1d11e}'), maxLength: 60 }).map((payload) => text(payload)),
    fc.uint8Array({ maxLength: 300 }).map((payload) => masked({ opcode: 2, payload })),
    fc.uint8Array({ maxLength: 20 }).map((payload) => masked({ opcode: 9, payload })),
    fc.constant(
      Buffer.concat([masked({ opcode: 1, payload: Buffer.from('in '), fin: false }), masked({ opcode: 0, payload: Buffer.from('two') })]),
    ),
    // Faults, which end it.
    fc.constant(masked({ opcode: 3 })),
    fc.constant(masked({ opcode: 1, payload: Uint8Array.of(0xff) })),
    fc.constant(masked({ opcode: 2, payload: new Uint8Array(1001) })),
  );

  /** Everything the server says to these bytes, written in these pieces, a turn of the event loop apart. */
  async function answerTo(bytes: Buffer, cuts: readonly number[]): Promise<string> {
    const client = await RawClient.open(server.port);
    client.socket.setNoDelay(true);
    let from = 0;
    for (const cut of [...cuts.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
      if (cut === from) continue;
      client.write(bytes.subarray(from, cut));
      from = cut;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const answer = await client.rest();
    client.socket.end();
    if (!client.socket.closed) await once(client.socket, 'close');
    return inOrder(answer);
  }

  /** Head, then the pongs, then all other frames: a pong may overtake what has not been taken, so its place depends on the turns. */
  function inOrder(answer: string): string {
    const end = answer.indexOf('\r\n\r\n') + 4;
    const pongs: string[] = [];
    const others: string[] = [];
    for (let at = end; at < answer.length; ) {
      const short = answer.charCodeAt(at + 1);
      const size = short < 126 ? 2 + short : 4 + (answer.charCodeAt(at + 2) << 8) + answer.charCodeAt(at + 3);
      (answer.charCodeAt(at) === 0x8a ? pongs : others).push(answer.slice(at, at + size));
      at += size;
    }
    return [answer.slice(0, end), ...pongs, ...others].join('');
  }

  it('gives the same answers, from the first byte of the request to the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 40 }), async (messages, cuts) => {
        const bytes = Buffer.concat([Buffer.from(requestFor()), ...messages, closeFrame(1000, 'that was it')]);
        const whole = await answerTo(bytes, []);
        expect(whole).toMatch(/^HTTP\/1\.1 101 /);
        expect(await answerTo(bytes, cuts)).toBe(whole);
      }),
      { numRuns: 40 },
    );
  }, 60_000);
});
