/**
 * Servers that never stop, never finish, or answer with something else: each has its verdicts in good time, and in bounded memory.
 */
import type { Socket } from 'node:net';
import { type CaseResult, cases, collect, extraCases, type RunOptions, runCases, selectCases, serverUrl } from '@ferrywire/conformance';
import { describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { CaseRun } from '../dist/runner.js';
import { VirtualTime } from '../dist/virtual-time.js';
import { cleanUps, command, greetingServer, portOf, tcpServer } from './servers.ts';

/** An unmasked frame of less than 64 KiB. */
function frame(first: number, payload: string | Uint8Array): Buffer {
  const body = Buffer.from(payload);
  const size = body.length < 126 ? [body.length] : [126, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([first, ...size]), body]);
}

/** Writes the same for ever, as fast as it is taken. */
function pours(bytes: Uint8Array): (socket: Socket) => void {
  return (socket) => {
    const pour = (): void => {
      if (socket.destroyed) return;
      if (socket.write(bytes)) setImmediate(pour);
      else socket.once('drain', pour);
    };
    pour();
  };
}

async function run(url: string, include: readonly string[], options: RunOptions = {}): Promise<CaseResult[]> {
  return collect(runCases(serverUrl(url), { include, ...options }));
}

/** A ws server whose answers are the test's. */
async function answering(answer: (data: Buffer) => Buffer | null): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (data: Buffer, binary) => {
      const reply = answer(data);
      if (reply !== null) socket.send(reply, { binary });
    });
  });
  await new Promise((resolve) => server.once('listening', resolve));
  cleanUps.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${portOf(server)}`;
}

describe('a server that does not stop sending', () => {
  const many = (bytes: Buffer): Buffer => Buffer.concat(Array.from({ length: 1000 }, () => bytes));
  const floods: readonly (readonly [what: string, first: Buffer, then: Buffer, reason: RegExp])[] = [
    ['messages', Buffer.alloc(0), frame(0x82, Buffer.alloc(60_000)), /1000 in all; it did not stop sending/],
    ['pongs', Buffer.alloc(0), many(frame(0x8a, '')), /1000 in all; it did not stop sending/],
    ['pings', Buffer.alloc(0), many(frame(0x89, '')), /more than 10000 pings came/],
    ['empty fragments', frame(0x02, ''), many(frame(0x00, '')), /more than 100000 empty fragments/],
    ['one message', frame(0x02, ''), frame(0x00, Buffer.alloc(60_000)), /message of more than 134217728 bytes/],
  ];

  it.each(floods)(
    '%s is not listened to until the limit',
    async (_, first, then, reason) => {
      const url = await greetingServer((socket) => {
        if (first.length > 0) socket.write(first);
        pours(then)(socket);
      });
      // 1000 s by its own limit, and a case in which the subject has to act.
      const results = await run(url, ['9.5.1', '3.1']);
      expect(results.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual(['3.1 FAILED', '9.5.1 FAILED']);
      for (const result of results) expect(result.duration).toBeLessThan(30_000);
      expect(results[1]?.reason).toMatch(reason);
    },
    60_000,
  );
});

describe('a server that answers with something else', () => {
  it('is not waited for: what is expected can not come any more', async () => {
    const url = await answering((data) => {
      const wrong = Buffer.from(data);
      if (wrong.length > 0) wrong[wrong.length - 1] = 0x21;
      return wrong;
    });
    const started = performance.now();
    const results = await run(url, ['1.1.*', '9.1.1', '9.5.6', '5.6', '9.4.9']);
    expect(performance.now() - started).toBeLessThan(9000);
    expect(results.filter(({ verdict }) => verdict === 'OK').map(({ id }) => id)).toEqual(['1.1.1']);
    expect(results.at(-1)).toMatchObject({ timed: false, behavior: 'FAILED', behaviorClose: 'OK' });
  });

  it('and ends within a frame, or within a message, is told so', async () => {
    const endings = [
      [Buffer.from([0x82, 5, 1]), /got nothing; the subject ended the transport in the middle of a frame$/],
      [frame(0x02, 'a'), /got nothing; the subject ended the transport in the middle of a message$/],
      [Buffer.alloc(0), /got nothing; the subject ended the transport$/],
    ] as const;
    for (const [bytes, reason] of endings) {
      const [result] = await run(await greetingServer((socket) => socket.end(bytes)), ['1.2.2']);
      expect([result?.verdict, result?.reason]).toEqual(['FAILED', expect.stringMatching(reason)]);
    }
  });

  it('in place of HTTP is shown at once', async () => {
    const url = await tcpServer((socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n'));
    const [result] = await run(url, ['1.1.1']);
    expect(result?.reason).toContain('no HTTP response: 0x5353482d322e302d4f70656e5353485f392e360d0a [21 bytes]');
    expect(result?.duration).toBeLessThan(4000);
  });
});

it('a server that refuses amid what is sent, and resets, has its close frame read (5.11, 5.14)', async () => {
  // All in one turn, so that the next byte for it fails before anything of this is read.
  const url = await greetingServer((socket) => {
    socket.once('data', () => {
      socket.write(frame(0x88, Uint8Array.of(0x03, 0xea)));
      socket.resetAndDestroy();
    });
  });
  for (const result of await run(url, ['5.11', '5.14'])) expect(result, result.id).toMatchObject({ verdict: 'OK', remoteCloseCode: 1002 });
});

it('a refusal for which no document insists on a code may have another (F.1, F.7.15 to F.7.17)', async () => {
  const verdicts = async (ids: readonly string[], code: number): Promise<string[]> => {
    const closing = frame(0x88, Uint8Array.of(code >> 8, code & 0xff));
    const url = await greetingServer(
      (socket) => {
        socket.once('data', () => socket.end(closing));
      },
      ids[0]?.startsWith('F.7.') === true ? 'Sec-WebSocket-Extensions: permessage-deflate\r\n' : '',
    );
    const results = await run(url, ids, { cases: extraCases });
    return results.map(({ verdict, reason }) => (reason === null ? verdict : `${verdict} ${reason}`));
  };
  const unmasked = ['F.1.1', 'F.1.2', 'F.1.3', 'F.1.12'];
  for (const ids of [
    [...unmasked, 'F.1.4'],
    ['F.7.15', 'F.7.16', 'F.7.17'],
  ]) {
    expect(await verdicts(ids, 1002)).toEqual(ids.map(() => 'OK'));
    const fitting = ids.length === 3 ? '1002, 1007' : '1002';
    for (const code of [1003, 1011, 4000])
      expect(await verdicts(ids, code)).toEqual(ids.map(() => `NON-STRICT allowed, but closed with ${code}; fitting: ${fitting}`));
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])
      for (const verdict of await verdicts(ids, code)) expect(verdict).toMatch(`FAILED closing WRONG CODE: close code ${code}, right`);
  }
  expect(await verdicts(unmasked, 1000)).toEqual(unmasked.map(() => 'NON-STRICT allowed, but closed with 1000; fitting: 1002'));
  // That is to take the close frame for one.
  expect(await verdicts(['F.1.4'], 1000)).toEqual(['FAILED closing WRONG CODE: close code 1000, right is 1002']);
  // And here the document does (RFC 6455 section 7.4.1).
  expect(await verdicts(['F.5.4'], 1003)).toEqual(['FAILED close code 1003, right is 1002']);
  const explained = (id: string): Promise<string> => command('explain', id).then(({ out }) => out.join('\n'));
  expect(await explained('F.1.1')).toMatch(/code 1002, or no code; another is NON-STRICT$/);
  expect(await explained('F.1.4')).toMatch(/code 1002, or no code; another but 1000 is NON-STRICT$/);
});

describe('a server that keeps the harness waiting', () => {
  it('with half a head counts as one that says nothing', async () => {
    const url = await tcpServer((socket) => socket.once('data', () => socket.write('HTTP/1.1 101 Switching Proto')));
    const results = await run(url, ['1.1.*', '2.*'], { timeScale: 0.2 });
    expect(results.filter(({ verdict, silent }) => verdict === 'FAILED' && silent)).toHaveLength(19);
    // 1000 ms, and short ones in the end.
    expect(results.at(-1)?.reason).toContain('no complete HTTP head within 100 ms');
  });

  it('and closes well when it is told to counts so too', async () => {
    const url = await answering(() => null);
    const include = ['1.1.*', '1.2.*', '9.1.6', '9.7.6'];
    const results = await run(url, include, { timeScale: 0.4 });
    expect(results.filter(({ verdict, silent }) => verdict === 'FAILED' && silent)).toHaveLength(18);
    // 100 s and 480 s by their own limits.
    for (const slow of ['9.1.6', '9.7.6']) expect(results.find(({ id }) => id === slow)?.reason).toMatch(/(limit of|within) 200 ms/);
  });

  it('has its whole limit once it has begun to answer', () => {
    const [exchange] = selectCases(cases, ['9.7.1']);
    if (exchange === undefined) throw new Error('no case 9.7.1');
    const time = new VirtualTime();
    let result: CaseResult | null = null;
    let written = 0;
    const settings = {
      role: 'server',
      scheduler: time,
      seed: 1,
      timeScale: 1,
      pauseScale: 1,
      longest: 500,
      deflate: null,
      messages: null,
    } as const;
    const channel = {
      write: () => {
        written += 1;
      },
      end: () => {},
      abort: () => {},
    };
    const run = new CaseRun(exchange, settings, channel, (end) => {
      result = end;
    });
    run.start();
    // A round trip takes 10 ms, and all of them twenty limits of a run that is short of patience.
    for (let i = 0; i < 1000; i += 1) {
      time.jumpTo(time.now() + 10);
      run.data(frame(0x81, ''));
    }
    run.data(frame(0x88, Uint8Array.of(3, 0xe8)));
    run.ended(null);
    expect(written).toBe(1001);
    expect(result).toMatchObject({ verdict: 'OK', silent: false, duration: 10_000 });
  });
});
