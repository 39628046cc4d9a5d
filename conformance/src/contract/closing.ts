/** Closing (RFC 6455 section 7): who ends TCP, half-closed connections, races, and ends without a closing handshake. */
import { Opcode, parseClosePayload } from '@ferrywire/core/frame';
import type { CloseAllOptions, Peer } from '@ferrywire/driver';
import type { AdapterUnderTest } from './adapter.ts';
import { type ContractCase, contractCase, equal, ok } from './case.ts';
import type { RawPeer } from './raw.ts';
import { pattern, type Scope } from './support.ts';
import { Queue, turn, until, within } from './wait.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function closeCode(payload: Uint8Array): number {
  const parsed = parseClosePayload(payload);
  return 'reason' in parsed ? parsed.code : -1;
}

async function byTheClient(scope: Scope): Promise<void> {
  const { listening, url, ends } = await scope.serve();
  const client = await scope.connect(url);
  ok(client.peer.close(4001, 'done here'), 'close said that the connection is not open');
  equal(client.peer.send('late'), false, 'send after close');
  const remote = await ends.next("the server's end");
  const local = await client.ends.next("the client's end");
  equal([remote.clean, remote.code, remote.reason, remote.initiator], [true, 4001, 'done here', 'remote'], "the server's end");
  equal([local.clean, local.code, local.initiator], [true, 4001, 'local'], "the client's end");
  await until(() => listening.peers.size === 0, 'the peer to be let go');
}

async function byTheServer(scope: Scope): Promise<void> {
  const { url, opened, ends } = await scope.serve();
  const client = await scope.connect(url);
  (await opened.next('open')).close(1000, 'enough');
  equal(await client.closes.next('the close frame'), { code: 1000, reason: 'enough' }, 'the close frame');
  equal((await client.ends.next("the client's end")).clean, true, "the client's end");
  equal((await ends.next("the server's end")).initiator, 'local', 'who started');
}

/** RFC 6455 section 7.1.1: the server ends TCP first, the client waits for it. */
async function serverEndsFirst(scope: Scope): Promise<void> {
  const { port } = await scope.serve();
  const raw = await scope.raw(port);
  raw.sendClose(1000);
  equal(closeCode(await raw.next(Opcode.Close)), 1000, "the server's close frame");
  // The client keeps its side open: the server must end without being asked.
  equal(await within(raw.finished, "the server's FIN"), 'eof', 'how the server ended');
}

async function clientWaits(scope: Scope): Promise<void> {
  let finAtClose: boolean | null = null;
  const url = await scope.rawServer((raw, key) => {
    raw.accept(key);
    void raw.next(Opcode.Close).then(async () => {
      raw.sendClose(1000);
      for (let turns = 0; turns < 50; turns++) await turn();
      finAtClose = raw.isFinished;
      raw.end();
    });
  });
  const client = await scope.connect(url);
  client.peer.close(1000);
  equal((await client.ends.next("the client's end")).clean, true, 'a clean end');
  equal(finAtClose, false, 'the client ended TCP before the server did');
}

/** Both close frames leave before either has arrived. */
async function simultaneous(scope: Scope): Promise<void> {
  const { url, opened, ends } = await scope.serve();
  for (let round = 0; round < 20; round++) {
    const client = await scope.connect(url);
    const peer = await opened.next('open');
    peer.close(4000 + round);
    client.peer.close(4100 + round);
    const [local, remote] = [await client.ends.next("the client's end"), await ends.next("the server's end")];
    equal([local.clean, remote.clean], [true, true], `round ${round}`);
  }
}

/** Data that was sent before the close frame arrives before the end, however much it is. */
async function dataBeforeClose(scope: Scope): Promise<void> {
  const count = 40;
  const { url } = await scope.serve({
    handlers: {
      onOpen(peer) {
        for (let index = 0; index < count; index++) peer.send(pattern(100_000, index));
        peer.close(1000);
      },
    },
  });
  const client = await scope.connect(url);
  equal((await client.ends.next('the end')).clean, true, 'a clean end');
  equal(client.messages.count, count, 'messages before the end');
}

/** The client closes while the server is still sending: everything up to the server's close frame is read, nobody is reset. */
async function closeDuringFlood(scope: Scope): Promise<void> {
  const { url, opened, ends } = await scope.serve();
  const client = await scope.connect(url);
  const peer = await opened.next('open');
  for (let index = 0; index < 100; index++) peer.send(pattern(50_000, index));
  client.peer.close(1000);
  const [local, remote] = [await client.ends.next("the client's end"), await ends.next("the server's end")];
  equal([local.clean, remote.clean], [true, true], 'clean ends');
}

/** What comes behind a close frame is not delivered, and does not turn an orderly end into a reset. */
async function dataAfterClose(scope: Scope): Promise<void> {
  let delivered = 0;
  const { port, ends } = await scope.serve({
    handlers: {
      onMessage() {
        delivered++;
      },
    },
  });
  const raw = await scope.raw(port);
  const frames = [raw.frame(Opcode.Text, encode('before')), raw.frame(Opcode.Close, Uint8Array.of(3, 232))];
  for (let index = 0; index < 100; index++) frames.push(raw.frame(Opcode.Binary, pattern(10_000, index)));
  raw.write(Buffer.concat(frames));
  equal(closeCode(await raw.next(Opcode.Close)), 1000, "the server's close frame");
  equal(await within(raw.finished, "the server's FIN"), 'eof', 'how the server ended');
  raw.end();
  equal((await ends.next('the end')).clean, true, 'a clean end');
  equal(delivered, 1, 'messages delivered');
}

/** After a protocol error the close frame reaches the peer although it is still sending. */
async function failure(scope: Scope): Promise<void> {
  const { port, ends } = await scope.serve();
  const raw = await scope.raw(port);
  raw.write(Buffer.concat([raw.frame(3, encode('reserved')), raw.frame(Opcode.Binary, pattern(500_000, 1))]));
  equal(closeCode(await raw.next(Opcode.Close)), 1002, 'the close code');
  equal(await within(raw.finished, "the server's FIN"), 'eof', 'how the server ended');
  raw.end();
  const end = await ends.next('the end');
  equal([end.clean, end.cause?.code], [false, 'WS_INVALID_OPCODE'], 'the end');
}

/** A FIN without a close frame. What was complete before it has been answered. */
async function finWithoutClose(scope: Scope): Promise<void> {
  const { listening, port, ends } = await scope.serve();
  const raw = await scope.raw(port);
  for (let index = 0; index < 20; index++) raw.send(Opcode.Binary, pattern(20_000, index));
  raw.send(Opcode.Text, encode('unfinished'), false);
  raw.end();
  const end = await ends.next('the end');
  equal([end.clean, end.code, end.cause?.code], [false, 1006, 'WS_EOF'], 'the end');
  if (scope.adapter.capabilities.halfClose) {
    for (let index = 0; index < 20; index++) equal((await raw.next(Opcode.Binary)).length, 20_000, `echo ${index}`);
  }
  await within(raw.finished, "the server's FIN");
  await until(() => listening.peers.size === 0, 'the peer to be let go');
}

/** A close frame and a FIN in one packet: still answered, still clean. */
async function closeAndFin(scope: Scope): Promise<void> {
  const { port, ends } = await scope.serve();
  const raw = await scope.raw(port);
  raw.sendClose(1001);
  raw.end();
  const end = await ends.next('the end');
  equal([end.clean, end.code], [true, 1001], 'the end');
  if (scope.adapter.capabilities.halfClose) equal(closeCode(await raw.next(Opcode.Close)), 1001, "the server's close frame");
}

/** The server ends its side without a close frame, and with one. */
async function serverFin(scope: Scope): Promise<void> {
  const bare = await scope.rawServer((raw, key) => {
    raw.accept(key);
    raw.send(Opcode.Text, encode('bye'));
    raw.end();
  });
  const client = await scope.connect(bare);
  equal(await client.messages.next('the message'), 'bye', 'the message');
  const end = await client.ends.next('the end');
  equal([end.clean, end.code], [false, 1006], 'the end');
  let reply = -1;
  const polite = await scope.rawServer((raw, key) => {
    raw.accept(key);
    raw.sendClose(1012);
    raw.end();
    void raw.next(Opcode.Close).then((payload) => {
      reply = closeCode(payload);
    });
  });
  const other = await scope.connect(polite);
  equal((await other.ends.next('the end')).code, 1012, 'the code');
  if (scope.adapter.capabilities.halfClose) await until(() => reply === 1012, "the client's close frame");
}

async function aborts(scope: Scope): Promise<void> {
  const { listening, url, opened, ends } = await scope.serve();
  const client = await scope.connect(url);
  await opened.next('open');
  client.peer.abort();
  client.peer.abort();
  equal(client.peer.send('late'), false, 'send after abort');
  equal((await client.ends.next("the client's end")).cause?.code, 'WS_ABORTED', "the client's cause");
  const seen = await ends.next("the server's end");
  equal([seen.clean, seen.code], [false, 1006], "the server's end");
  const second = await scope.connect(url);
  (await opened.next('open')).abort();
  equal((await second.ends.next("the client's end")).code, 1006, "the client's code");
  equal((await ends.next("the server's end")).cause?.code, 'WS_ABORTED', "the server's cause");
  await until(() => listening.peers.size === 0, 'the peers to be let go');
}

/** A peer that has ended its side and takes nothing of what is on its way can be dropped, by us and by the deadline of `close`. */
async function endedAndUnread(scope: Scope): Promise<void> {
  // Reads on whatever waits: else the FIN would lie unread.
  const { listening, port, opened, ends } = await scope.serve({ highWaterMark: Number.POSITIVE_INFINITY });
  for (const how of ['abort', 'close'] as const) {
    const raw = await scope.raw(port);
    const peer = await opened.next('open');
    raw.socket.pause();
    let slow = 0;
    await until(() => {
      for (let index = 0; index < 10 && peer.writable; index++) {
        peer.send(pattern(500_000, index));
        slow = 0;
      }
      // Where writes are promises, one that the system takes is under way for some turns too.
      return ++slow > 100 && peer.bufferedAmount > 0;
    }, 'the peer to be slow');
    raw.end();
    equal((await ends.next('the end')).cause?.code, 'WS_EOF', 'the cause');
    equal(listening.peers.size, 1, 'peers while bytes wait');
    if (how === 'abort') peer.abort();
    else await within(listening.close({ deadline: 50 }), 'close');
    await until(() => listening.peers.size === 0, 'the peer to be let go');
  }
}

/** Messages of 500 000 bytes to a peer that has stopped reading, until no more are taken. Returns how many. */
async function flood(peer: Peer, raw: RawPeer): Promise<number> {
  raw.socket.pause();
  let sent = 0;
  let slow = 0;
  await until(() => {
    for (let index = 0; index < 10 && peer.writable; index++) {
      peer.send(pattern(500_000, sent++));
      slow = 0;
    }
    return ++slow > 100 && peer.bufferedAmount > 0;
  }, 'the peer to be slow');
  return sent;
}

/** A peer that closes and ends its side while it takes nothing has all of it when it reads on, and a clean end. */
async function endedAndLate(scope: Scope): Promise<void> {
  if (!scope.adapter.capabilities.halfClose) return;
  for (const highWaterMark of [Number.POSITIVE_INFINITY, undefined]) {
    let isClosing = false;
    const handlers = {
      onClose() {
        isClosing = true;
      },
    };
    const serving = highWaterMark === undefined ? { handlers } : { handlers, highWaterMark };
    const { listening, port, opened, ends } = await scope.serve(serving);
    const raw = await scope.raw(port);
    const peer = await opened.next('open');
    const sent = await flood(peer, raw);
    raw.sendClose(1001);
    raw.end();
    // Without a mark the close frame is read at once, with one it may be behind all that is to be written.
    if (highWaterMark !== undefined) await until(() => isClosing, 'the close frame');
    for (let turns = 0; turns < 20; turns++) await turn();
    equal(ends.count, 0, 'ends while bytes wait');
    raw.socket.resume();
    for (let index = 0; index < sent; index++) equal((await raw.next(Opcode.Binary)).length, 500_000, `message ${index}`);
    equal(closeCode(await raw.next(Opcode.Close)), 1001, "the server's close frame");
    const end = await ends.next('the end');
    equal([end.clean, end.code, end.cause], [true, 1001, null], 'the end');
    await until(() => listening.peers.size === 0, 'the peer to be let go');
  }
}

/** The same of a server that does so. */
async function serverEndedAndLate(scope: Scope): Promise<void> {
  if (!scope.adapter.capabilities.halfClose) return;
  const servers = new Queue<RawPeer>();
  const url = await scope.rawServer((raw, key) => {
    raw.accept(key);
    servers.push(raw);
  });
  const { peer, ends } = await scope.connect(url);
  const raw = await servers.next('the server');
  const sent = await flood(peer, raw);
  raw.sendClose(1001);
  raw.end();
  for (let turns = 0; turns < 20; turns++) await turn();
  raw.socket.resume();
  for (let index = 0; index < sent; index++) equal((await raw.next(Opcode.Binary)).length, 500_000, `message ${index}`);
  equal(closeCode(await raw.next(Opcode.Close)), 1001, "the client's close frame");
  const end = await ends.next('the end');
  equal([end.clean, end.code, end.cause], [true, 1001, null], 'the end');
}

/** Every call that changes the state, from inside a handler. */
async function fromHandlers(scope: Scope): Promise<void> {
  const { url, ends } = await scope.serve({
    handlers: {
      onMessage(peer, data) {
        if (data === 'close') peer.close(4004);
        else if (data === 'abort') peer.abort();
        else if (data === 'pause') {
          peer.pause();
          setImmediate(() => peer.resume());
        }
        peer.send('after');
      },
    },
  });
  const closing = await scope.connect(url);
  closing.peer.send('close');
  closing.peer.send('not answered');
  equal((await closing.ends.next('the end')).code, 4004, 'the code');
  equal((await ends.next("the server's end")).clean, true, 'a clean end');
  const aborting = await scope.connect(url);
  aborting.peer.send('abort');
  equal((await aborting.ends.next('the end')).code, 1006, 'the code');
  await ends.next("the server's end");
  const pausing = await scope.connect(url);
  pausing.peer.send('pause');
  pausing.peer.send('behind');
  equal([await pausing.messages.next('an answer'), await pausing.messages.next('an answer')], ['after', 'after'], 'answers');
}

/** Closed inside 'open': the handshake is still answered, and the close frame comes right behind it. */
async function insideOpen(scope: Scope): Promise<void> {
  const { url } = await scope.serve({
    handlers: {
      onOpen(peer) {
        peer.close(4005);
      },
    },
  });
  const client = await scope.connect(url);
  const end = await client.ends.next('the end');
  equal([end.clean, end.code], [true, 4005], 'the end');
  const { url: other } = await scope.serve();
  const eager = await scope.connect(other, {
    handlers: {
      onOpen(peer) {
        peer.close(4006);
      },
    },
  });
  equal((await eager.ends.next('the end')).clean, true, 'the end');
}

/** A handler that throws, with `onError`: reported, and the connection goes on with the next event. */
async function throwing(scope: Scope): Promise<void> {
  const reported: string[] = [];
  const { url } = await scope.serve({
    handlers: {
      onMessage(peer, data) {
        if (data === 'throw') throw new Error('in a handler');
        peer.send(data);
      },
      onError(_, error) {
        reported.push(String(error));
      },
    },
  });
  const client = await scope.connect(url);
  for (const message of ['one', 'throw', 'two', 'throw', 'three']) client.peer.send(message);
  const answers = [];
  for (let index = 0; index < 3; index++) answers.push(await client.messages.next('an answer'));
  equal(answers, ['one', 'two', 'three'], 'answers');
  equal(reported, ['Error: in a handler', 'Error: in a handler'], 'what was reported');
}

/** The closing deadline: a peer that never answers does not hold the connection. */
async function silentPeer(scope: Scope): Promise<void> {
  const { listening, port, opened, ends } = await scope.serve({ timeouts: { closing: 50 } });
  const raw = await scope.raw(port);
  (await opened.next('open')).close(1000);
  equal(closeCode(await raw.next(Opcode.Close)), 1000, 'the close frame');
  equal((await ends.next('the end')).cause?.code, 'WS_TIMEOUT_CLOSING', 'the cause');
  await within(raw.finished, 'the transport to be dropped');
  await until(() => listening.peers.size === 0, 'the peer to be let go');
}

/** Misuse: it is told, with the option's name, and the listener goes on. */
async function mistakenClose(scope: Scope): Promise<void> {
  const { listening, url, opened } = await scope.serve();
  const mistakes: readonly (readonly [CloseAllOptions, string])[] = [
    [{ code: 1005 }, 'RangeError code'],
    [{ reason: 'x'.repeat(124) }, 'RangeError reason'],
    [{ deadline: -1 }, 'RangeError options.deadline'],
    [{ deadline: Number.NaN }, 'TypeError options.deadline'],
  ];
  const refused = async (): Promise<void> => {
    for (const [options, expected] of mistakes) {
      const told = await listening.close(options).then(
        () => 'it closed',
        (error: Error) => `${error.name} ${error.message}`,
      );
      ok(told.startsWith(expected), `expected '${expected}', got '${told}'`);
    }
  };
  await refused();
  const client = await scope.connect(url);
  await opened.next('open');
  await refused();
  client.peer.send('still here');
  equal(await client.messages.next('the echo'), 'still here', 'the echo');
  await within(listening.close({ code: 1012 }), 'the listener to close');
  equal((await client.closes.next('the close frame')).code, 1012, 'the code');
}

export function closingCases(adapter: AdapterUnderTest): ContractCase[] {
  const named = (name: string, body: (scope: Scope) => Promise<void>): ContractCase => contractCase(adapter, `closing: ${name}`, body);
  return [
    named('by the client', byTheClient),
    named('by the server', byTheServer),
    named('the server ends TCP first', serverEndsFirst),
    named('the client waits for the server to end TCP', clientWaits),
    named('from both sides at once, 20 times', simultaneous),
    named('4 MB sent before the close frame arrive', dataBeforeClose),
    named('by the reader of a flood', closeDuringFlood),
    named('data behind a close frame', dataAfterClose),
    named('after a protocol error the close frame arrives', failure),
    named('a FIN without a close frame', finWithoutClose),
    named('a close frame and a FIN together', closeAndFin),
    named("the server's FIN, with and without a close frame", serverFin),
    named('abort from each side', aborts),
    named('close, abort and pause inside a message handler', fromHandlers),
    named('inside the open handler', insideOpen),
    named('a peer that has ended and reads nothing', endedAndUnread),
    named('a peer that has ended and reads late', endedAndLate),
    named('a server that has ended and reads late', serverEndedAndLate),
    named('a peer that does not answer the close frame', silentPeer),
    named('a handler that throws is reported and the connection goes on', throwing),
    named('a listener that is asked for what makes no sense', mistakenClose),
  ];
}
