/** The socket: receive, send, the states, closing, and what .NET documents as errors. */
import { once } from 'node:events';
import { Duplex, duplexPair, PassThrough, Readable } from 'node:stream';
import { runInNewContext } from 'node:vm';
import { FrameParser, serializeFrame } from '@ferrywire/core/frame';
import {
  ArgumentException,
  ArgumentNullException,
  ArgumentOutOfRangeException,
  InvalidOperationException,
  ObjectDisposedException,
  OperationCanceledException,
  receiveByBufferType,
  WebSocket,
  WebSocketCloseStatus,
  WebSocketException,
  WebSocketMessageType,
  WebSocketState,
} from '@ferrywire/http-listener';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { closePayload, ends, rejection } from './helpers.ts';

const data = (count: number, messageType: 'Text' | 'Binary', endOfMessage: boolean) => ({
  count,
  messageType,
  endOfMessage,
  closeStatus: null,
  closeStatusDescription: null,
});

describe('receive', () => {
  it('writes into the caller’s buffer, piece by piece', async () => {
    const { socket, feed } = ends();
    const buffer = new Uint8Array(16).fill(0x2e);
    feed(1, 'hello');
    expect(await socket.receive(buffer)).toEqual(data(5, 'Text', true));
    expect(Buffer.from(buffer).toString()).toBe('hello...........');
    feed(2, Uint8Array.of(1, 2, 3));
    expect(await socket.receive(buffer.subarray(10))).toEqual(data(3, 'Binary', true));
    expect([...buffer.subarray(9, 14)]).toEqual([0x2e, 1, 2, 3, 0x2e]);
    feed(1, '');
    expect(await socket.receive(buffer)).toEqual(data(0, 'Text', true));
  });
  it('what is no signal is refused before anything has begun, and null is none', async () => {
    const { socket, feed } = ends();
    const buffer = new Uint8Array(16);
    for (const wrong of [0, 'x', {}, new AbortController()] as unknown as AbortSignal[]) {
      const refused = { name: 'ArgumentException', paramName: 'signal' };
      expect(await rejection(socket.receive(buffer, wrong))).toMatchObject(refused);
      expect(await rejection(socket.send('x', 'Text', true, wrong))).toMatchObject(refused);
      expect(await rejection(socket.close(1000, null, wrong))).toMatchObject(refused);
      expect(await rejection(socket.closeOutput(1000, null, wrong))).toMatchObject(refused);
    }
    // No receive is outstanding, and nothing was sent.
    feed(1, 'hello');
    expect(await socket.receive(buffer, null as unknown as AbortSignal)).toEqual(data(5, 'Text', true));
    expect(socket.state).toBe('Open');
  });
  it('of a message longer than the buffer takes several, endOfMessage on the last', async () => {
    const { socket, feed } = ends();
    const buffer = new Uint8Array(4);
    feed(1, 'abcdefghij');
    const pieces: string[] = [];
    for (let last = false; !last; ) {
      const { count, endOfMessage } = await socket.receive(buffer);
      pieces.push(Buffer.from(buffer.subarray(0, count)).toString());
      last = endOfMessage;
    }
    expect(pieces.join('')).toBe('abcdefghij');
    expect(pieces.every((piece) => piece.length <= 4)).toBe(true);
    expect(pieces.length).toBeGreaterThan(2);
  });
  it('puts fragments together without mirroring them', async () => {
    const { socket, feed, frame } = ends();
    feed(1, 'ab', false);
    feed(9, 'ping');
    feed(0, 'cd', false);
    feed(0, 'ef');
    const buffer = new Uint8Array(100);
    let text = '';
    for (let last = false; !last; ) {
      const { count, endOfMessage, messageType } = await socket.receive(buffer);
      expect(messageType).toBe(WebSocketMessageType.Text);
      text += Buffer.from(buffer.subarray(0, count)).toString();
      last = endOfMessage;
    }
    expect(text).toBe('abcdef');
    expect(await frame()).toMatchObject({ opcode: 10, payload: Buffer.from('ping') });
  });
  it('gives the same messages however the bytes are cut and whatever the buffer holds', async () => {
    const message = fc.record({ text: fc.boolean(), size: fc.nat(400), fragment: fc.integer({ min: 1, max: 100 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 500 }),
        async (messages, cuts, size) => {
          const expected = messages.map(({ text, size: length }, index) => [
            text ? 'Text' : 'Binary',
            'é水x'.repeat(length + index).slice(0, length),
          ]);
          const frames = messages.flatMap(({ text, fragment }, index) => {
            const bytes = Buffer.from(expected[index]?.[1] ?? '');
            const count = Math.max(1, Math.ceil(bytes.length / fragment));
            return Array.from({ length: count }, (_, part) =>
              serializeFrame({
                opcode: part > 0 ? 0 : text ? 1 : 2,
                fin: part === count - 1,
                payload: bytes.subarray(part * fragment, (part + 1) * fragment),
                maskKey: 0x0a0b0c0d,
              }),
            );
          });
          const wire = Buffer.concat([...frames, serializeFrame({ opcode: 8, payload: closePayload(1000), maskKey: 1 })]);
          const { socket, peer } = ends();
          let at = 0;
          for (let index = 0; at < wire.length; index++) {
            const step = cuts[index % cuts.length] ?? 1;
            peer.write(wire.subarray(at, at + step));
            at += step;
          }
          const received: unknown[] = [];
          const buffer = new Uint8Array(size);
          let pieces: Uint8Array[] = [];
          for (let result = await socket.receive(buffer); result.messageType !== 'Close'; result = await socket.receive(buffer)) {
            pieces.push(buffer.slice(0, result.count));
            if (!result.endOfMessage) continue;
            received.push([result.messageType, Buffer.concat(pieces).toString()]);
            pieces = [];
          }
          expect(received).toEqual(expected);
          socket.dispose();
        },
      ),
      { numRuns: 60 },
    );
  });
  it('takes any view or ArrayBuffer', async () => {
    const { socket, feed } = ends();
    feed(1, 'ab');
    feed(1, 'cd');
    feed(1, 'ef');
    const memory = new ArrayBuffer(8);
    await socket.receive(new DataView(memory, 2, 4));
    expect(Buffer.from(memory).toString('latin1', 2, 4)).toBe('ab');
    await socket.receive(memory);
    expect(Buffer.from(memory).toString('latin1', 0, 2)).toBe('cd');
    const foreign = runInNewContext('new ArrayBuffer(2)') as ArrayBuffer;
    await socket.receive(foreign);
    expect(Buffer.from(foreign).toString('latin1')).toBe('ef');
  });
  it('two at once: the second is an InvalidOperationException, the first goes on', async () => {
    const { socket, feed } = ends();
    const first = socket.receive(new Uint8Array(8));
    expect(await rejection(socket.receive(new Uint8Array(8)))).toBeInstanceOf(InvalidOperationException);
    feed(1, 'x');
    expect(await first).toEqual(data(1, 'Text', true));
    feed(1, 'y');
    expect(await socket.receive(new Uint8Array(8))).toEqual(data(1, 'Text', true));
  });
  it('without a buffer, or with one without room, is an argument error', async () => {
    const { socket } = ends();
    expect(await rejection(socket.receive(null as unknown as Uint8Array))).toBeInstanceOf(ArgumentNullException);
    expect(await rejection(socket.receive('x' as unknown as Uint8Array))).toBeInstanceOf(ArgumentException);
    expect(await rejection(socket.receive(new Uint8Array(0)))).toBeInstanceOf(ArgumentException);
    expect(socket.state).toBe('Open');
  });
  it('into a buffer that was transferred meanwhile is an ArgumentException, and nothing is lost', async () => {
    const { socket, feed } = ends();
    const buffer = new Uint8Array(8);
    const receiving = rejection(socket.receive(buffer));
    structuredClone(buffer.buffer, { transfer: [buffer.buffer] });
    feed(1, 'x');
    expect(await receiving).toMatchObject({ name: 'ArgumentException', paramName: 'buffer' });
    expect(socket.state).toBe('Open');
    expect(await socket.receive(new Uint8Array(8))).toEqual(data(1, 'Text', true));
    const last = new Uint8Array(8);
    const closed = rejection(socket.receive(last));
    const closing = socket.close(1000);
    structuredClone(last.buffer, { transfer: [last.buffer] });
    feed(8, closePayload(1000));
    await closing;
    expect(await closed).toMatchObject({ name: 'ArgumentException', paramName: 'buffer' });
    expect(socket.state).toBe('Closed');
  });
  it('nothing is read that nobody asked for', async () => {
    const { socket, feed, peer } = ends();
    const big = new Uint8Array(1000).fill(7);
    for (let index = 0; index < 1000; index += 1) feed(2, big);
    await new Promise((resolve) => setImmediate(resolve));
    expect(peer.writableLength).toBeGreaterThan(800_000);
    const buffer = new Uint8Array(1000);
    for (let index = 0; index < 1000; index += 1) expect((await socket.receive(buffer)).count).toBeGreaterThan(0);
  });
  it('a peer that is gone: ConnectionClosedPrematurely, state Aborted', async () => {
    for (const end of ['end', 'destroy'] as const) {
      const { socket, peer, near } = ends();
      const receiving = rejection(socket.receive(new Uint8Array(8)));
      // The pair of Node 20 does not tell one side that the other was destroyed.
      if (end === 'end') peer.end();
      else near.destroy();
      expect(await receiving).toMatchObject({ name: 'WebSocketException', webSocketErrorCode: 'ConnectionClosedPrematurely' });
      expect(socket.state).toBe(WebSocketState.Aborted);
      expect(await rejection(socket.receive(new Uint8Array(8)))).toMatchObject({ webSocketErrorCode: 'InvalidState' });
    }
  });
  it('a peer that answers no ping: Faulted, for what it is, and a close frame', async () => {
    const { socket, frame } = ends({ keepAliveInterval: 1, keepAliveTimeout: 1 });
    const error = await rejection(socket.receive(new Uint8Array(8)));
    expect(error).toMatchObject({ name: 'WebSocketException', webSocketErrorCode: 'Faulted' });
    expect(error.message).toMatch(/did not answer a ping within keepAliveTimeout/);
    expect([(await frame()).opcode, (await frame()).payload.readUInt16BE()]).toEqual([9, 1011]);
    expect(socket.state).toBe('Aborted');
  });
  it('a peer that breaks the protocol: Faulted at once, and a close frame', async () => {
    const { socket, feed, frame } = ends();
    feed(3);
    const error = await rejection(socket.receive(new Uint8Array(8)));
    expect(error).toBeInstanceOf(WebSocketException);
    expect(error).toMatchObject({ webSocketErrorCode: 'Faulted', message: expect.stringContaining('1002') });
    expect(socket.state).toBe('Aborted');
    const { opcode, payload } = await frame();
    expect([opcode, payload.readUInt16BE(0)]).toEqual([8, 1002]);
  });
});

describe('send', () => {
  it('text and binary, whole and in pieces', async () => {
    const { socket, frame } = ends();
    await socket.send('höllo', 'Text');
    await socket.send(Buffer.from('bytes as text'), 'Text', true);
    await socket.send(Uint8Array.of(1, 2).buffer, 'Binary');
    await socket.send('a', 'Text', false);
    await socket.send('b', 'Text', false);
    await socket.send(new Uint8Array(0), 'Text', true);
    await socket.send('c', 'Text');
    const frames = [];
    for (let index = 0; index < 7; index += 1) {
      const { opcode, fin, payload } = await frame();
      frames.push([opcode, fin, payload.toString('latin1')]);
    }
    expect(frames).toEqual([
      [1, true, Buffer.from('höllo').toString('latin1')],
      [1, true, 'bytes as text'],
      [2, true, '\u0001\u0002'],
      [1, false, 'a'],
      [0, false, 'b'],
      [0, true, ''],
      [1, true, 'c'],
    ]);
  });
  it('the first piece decides the type of a message', async () => {
    const { socket, frame } = ends();
    await socket.send(Uint8Array.of(1), 'Binary', false);
    await socket.send('é', 'Text', false);
    await socket.send('b', 'Binary', true);
    await socket.send('é', 'Binary');
    await socket.send(Uint8Array.of(0xc3), 'Text', false);
    await socket.send(Uint8Array.of(0xa9), 'Binary', true);
    const frames = [];
    for (let index = 0; index < 6; index += 1) {
      const { opcode, fin, payload } = await frame();
      frames.push([opcode, fin, payload.toString('hex')]);
    }
    expect(frames).toEqual([
      [2, false, '01'],
      [0, false, 'c3a9'],
      [0, true, '62'],
      [2, true, 'c3a9'],
      [1, false, 'c3'],
      [0, true, 'a9'],
    ]);
  });
  it('the buffer is the caller’s again when it has settled, and has not changed', async () => {
    for (const isServer of [true, false]) {
      // A Buffer's slice() is a view, and a client masks what it owns in place.
      for (const large of [new Uint8Array(100_000).fill(1), Buffer.alloc(100_000, 1)]) {
        const { socket, frame } = ends({ isServer });
        await socket.send(large, 'Binary');
        expect(large.every((byte) => byte === 1)).toBe(true);
        large.fill(2);
        expect((await frame()).payload.every((byte) => byte === 1)).toBe(true);
      }
    }
  });
  it('the buffer is the caller’s again when it has settled, though the stream has room for more and still holds it', async () => {
    const taken: Buffer[] = [];
    let take = (): void => {};
    let isHeld = true;
    const near = new Duplex({
      writableHighWaterMark: 1_000_000,
      read() {},
      write(chunk: Buffer, _, done) {
        take = () => {
          taken.push(Buffer.from(chunk));
          done();
        };
        if (!isHeld) take();
      },
    });
    const socket = WebSocket.createFromStream(near, { isServer: true, keepAliveInterval: 0 });
    for (const fin of [false, true]) {
      const large = Buffer.alloc(100_000, 1);
      await socket.send(large, 'Binary', fin);
      large.fill(2);
    }
    expect(taken).toEqual([]);
    isHeld = false;
    take();
    const finished = once(near, 'finish');
    near.end();
    await finished;
    const frames = [...new FrameParser().push(Buffer.concat(taken))];
    expect(frames.map(({ header, payload }) => [header.opcode, payload.length])).toEqual([
      [2, 100_000],
      [0, 100_000],
    ]);
    for (const { payload } of frames) expect(payload.every((byte) => byte === 1)).toBe(true);
  });
  it('of type Close is an ArgumentException', async () => {
    const { socket } = ends();
    expect(await rejection(socket.send('x', 'Close'))).toBeInstanceOf(ArgumentException);
    expect(await rejection(socket.send('x', 'text' as 'Text'))).toBeInstanceOf(ArgumentException);
    expect(await rejection(socket.send(null as unknown as string, 'Text'))).toBeInstanceOf(ArgumentNullException);
  });
  it('after close is a WebSocketException InvalidState', async () => {
    const { socket, feed, frame } = ends();
    const closing = socket.close(1000);
    expect(await rejection(socket.send('x', 'Text'))).toMatchObject({ name: 'WebSocketException', webSocketErrorCode: 'InvalidState' });
    await frame();
    feed(8, closePayload(1000));
    await closing;
    expect(await rejection(socket.send('x', 'Text'))).toMatchObject({ webSocketErrorCode: 'InvalidState' });
    expect(await rejection(socket.close(1000))).toMatchObject({ webSocketErrorCode: 'InvalidState' });
    expect(await rejection(socket.receive(new Uint8Array(1)))).toMatchObject({ webSocketErrorCode: 'InvalidState' });
  });
  it('waits while the transport has no room', async () => {
    const [near, far] = duplexPair();
    const socket = WebSocket.createFromStream(near, { isServer: true });
    let sent = 0;
    const sending = (async () => {
      for (let index = 0; index < 100; index += 1) {
        await socket.send(new Uint8Array(10_000), 'Binary');
        sent += 1;
      }
    })();
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(sent).toBeLessThan(50);
    far.resume();
    await sending;
    expect(sent).toBe(100);
    socket.dispose();
  });
});

describe('a transport that is gone', () => {
  /** A socket of which nobody reads, so that its sends wait, and its stream. */
  async function full(): Promise<{ socket: WebSocket; near: Duplex; far: Duplex; waiting: Promise<Error> }> {
    const [near, far] = duplexPair();
    near.on('error', () => {});
    const socket = WebSocket.createFromStream(near, { isServer: true, keepAliveInterval: 0 });
    let isWaiting = false;
    const waiting = rejection(
      (async () => {
        for (;;) {
          const sent = socket.send(new Uint8Array(50_000), 'Binary');
          isWaiting = true;
          await sent;
          isWaiting = false;
        }
      })(),
    );
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(isWaiting).toBe(true);
    return { socket, near, far, waiting };
  }
  const gone = { name: 'WebSocketException', webSocketErrorCode: 'ConnectionClosedPrematurely' };

  it('ends a send that waits for room, with no receive outstanding', async () => {
    for (const error of [undefined, new Error('reset')]) {
      const { socket, near, waiting } = await full();
      near.destroy(error);
      expect(await waiting).toMatchObject(gone);
      expect(await rejection(socket.send('x', 'Text'))).toMatchObject(gone);
      // Nothing came before the end.
      expect(await rejection(socket.receive(new Uint8Array(8)))).toMatchObject(gone);
      expect(socket.state).toBe('Aborted');
    }
  });
  it('ends a closeOutput and a close that wait for room', async () => {
    const first = await full();
    const output = rejection(first.socket.closeOutput(1000));
    first.near.destroy();
    expect(await output).toMatchObject(gone);
    const second = await full();
    second.far.write(serializeFrame({ opcode: 8, payload: closePayload(1000), maskKey: 1 }));
    expect((await second.socket.receive(new Uint8Array(8))).messageType).toBe('Close');
    const closing = rejection(second.socket.close(1000));
    second.near.destroy();
    expect(await closing).toMatchObject(gone);
  });
  it('is what a close that waits for room is cancelled with, by a signal, abort and dispose', async () => {
    for (const how of ['signal', 'abort', 'dispose'] as const) {
      const { socket, near, far, waiting } = await full();
      far.write(serializeFrame({ opcode: 8, payload: closePayload(1000), maskKey: 1 }));
      expect((await socket.receive(new Uint8Array(8))).messageType).toBe('Close');
      const controller = new AbortController();
      const closing = rejection(socket.close(1000, null, controller.signal));
      expect(socket.state).toBe('Closed');
      if (how === 'signal') controller.abort(new Error('enough'));
      else socket[how]();
      expect(near.destroyed).toBe(true);
      if (how === 'signal') expect(await closing).toEqual(new Error('enough'));
      else expect(await closing).toBeInstanceOf(OperationCanceledException);
      expect(await waiting).toBeInstanceOf(OperationCanceledException);
      expect(socket.state).toBe('Closed');
    }
  });
  it('fails sends at once, and keeps what came before for receive', async () => {
    for (const error of [undefined, new Error('reset')]) {
      const { socket, feed, near } = ends();
      near.on('error', () => {});
      feed(1, 'held');
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => near.once('close', resolve).destroy(error));
      expect(await rejection(socket.send('x', 'Text'))).toMatchObject(gone);
      expect(await rejection(socket.closeOutput(1000))).toMatchObject(gone);
      expect(socket.state).toBe('Open');
      expect(await socket.receive(new Uint8Array(8))).toEqual(data(4, 'Text', true));
      expect(await rejection(socket.receive(new Uint8Array(8)))).toMatchObject(gone);
      expect(socket.state).toBe('Aborted');
    }
  });
  it('behind the peer’s close frame leaves nothing to answer', async () => {
    const { socket, feed, near } = ends();
    feed(8, closePayload(1000));
    expect((await socket.receive(new Uint8Array(8))).messageType).toBe('Close');
    await new Promise((resolve) => near.once('close', resolve).destroy());
    expect(await rejection(socket.send('x', 'Text'))).toMatchObject(gone);
    await socket.close(1000);
    expect(socket.state).toBe('Closed');
  });
});

describe('states and closing', () => {
  it('a close from the peer: CloseReceived, in which sending still works, then Closed', async () => {
    const { socket, feed, frame } = ends();
    expect([socket.state, socket.closeStatus, socket.closeStatusDescription]).toEqual(['Open', null, null]);
    feed(8, closePayload(1001, 'going'));
    expect(await socket.receive(new Uint8Array(8))).toEqual({
      count: 0,
      messageType: 'Close',
      endOfMessage: true,
      closeStatus: 1001,
      closeStatusDescription: 'going',
    });
    expect([socket.state, socket.closeStatus, socket.closeStatusDescription]).toEqual(['CloseReceived', 1001, 'going']);
    await socket.send('last words', 'Text');
    expect(await frame()).toMatchObject({ opcode: 1, payload: Buffer.from('last words') });
    expect(await rejection(socket.receive(new Uint8Array(8)))).toMatchObject({ webSocketErrorCode: 'InvalidState' });
    await socket.close(WebSocketCloseStatus.NormalClosure, 'bye');
    expect(socket.state).toBe('Closed');
    expect(await frame()).toMatchObject({ opcode: 8, payload: closePayload(1000, 'bye') });
  });
  it('what the peer writes after closeOutput is left as it is: the stream may have passed on memory that its writer still has', async () => {
    const { socket, peer } = ends();
    await socket.closeOutput(1000);
    const frame = Buffer.from(serializeFrame({ opcode: 2, payload: new Uint8Array(5000).fill(7), maskKey: 0x01020304 }));
    const copy = Buffer.from(frame);
    peer.write(frame);
    const buffer = new Uint8Array(5000);
    expect(await socket.receive(buffer)).toEqual(data(5000, 'Binary', true));
    expect(buffer.every((byte) => byte === 7)).toBe(true);
    expect(frame.equals(copy)).toBe(true);
  });
  it('closeOutput: CloseSent, in which receiving still works, then Closed', async () => {
    const { socket, feed, frame } = ends();
    await socket.closeOutput(WebSocketCloseStatus.EndpointUnavailable, null);
    expect(socket.state).toBe('CloseSent');
    expect(await frame()).toMatchObject({ opcode: 8, payload: closePayload(1001) });
    expect(await rejection(socket.closeOutput(1000))).toMatchObject({ webSocketErrorCode: 'InvalidState' });
    expect(await rejection(socket.send('x', 'Text'))).toMatchObject({ webSocketErrorCode: 'InvalidState' });
    feed(1, 'still');
    expect(await socket.receive(new Uint8Array(8))).toEqual(data(5, 'Text', true));
    feed(8, closePayload(1001));
    expect((await socket.receive(new Uint8Array(8))).messageType).toBe('Close');
    expect([socket.state, socket.closeStatus]).toEqual(['Closed', 1001]);
  });
  it('closeOutput: whatever comes behind it waits for receive, in any amount', async () => {
    const { socket, peer, feed, frame } = ends();
    await socket.closeOutput(1000, 'done');
    expect((await frame()).opcode).toBe(8);
    const large = Buffer.alloc(3 << 20, 'large ');
    for (let index = 0; index < 20_000; index += 1) feed(2, `${index}`);
    feed(9, 'a ping');
    feed(1, '');
    feed(2, large);
    feed(8, closePayload(1000));
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(peer.writableLength).toBeGreaterThan(large.length);
    expect([socket.state, socket.closeStatus]).toEqual(['CloseSent', null]);
    const message = async (size: number): Promise<Buffer> => {
      const pieces: Buffer[] = [];
      for (;;) {
        const buffer = Buffer.alloc(size);
        const { count, endOfMessage, messageType } = await socket.receive(buffer);
        if (messageType === 'Close') return Buffer.from('closed');
        pieces.push(buffer.subarray(0, count));
        if (endOfMessage) return Buffer.concat(pieces);
      }
    };
    for (let index = 0; index < 20_000; index += 1) expect(`${await message(3)}`).toBe(`${index}`);
    expect((await message(10)).length).toBe(0);
    expect((await message(10_000)).equals(large)).toBe(true);
    expect(`${await message(10)}`).toBe('closed');
    expect([socket.state, socket.closeStatus]).toEqual(['Closed', 1000]);
  });
  it('closeOutput: the peer’s close frame is seen to without a receive', async () => {
    const { socket, near, feed, frame } = ends();
    await socket.closeOutput(1000, 'done');
    expect((await frame()).opcode).toBe(8);
    feed(8, closePayload(1000));
    // The connection is over, so a server ends it.
    await new Promise((resolve) => near.once('finish', resolve));
    expect((await socket.receive(new Uint8Array(1))).messageType).toBe('Close');
  });
  it('close waits for the peer’s close frame and discards data', async () => {
    const { socket, feed, frame } = ends();
    const closing = socket.close(4000, 'mine');
    expect(socket.state).toBe('CloseSent');
    expect(await frame()).toMatchObject({ opcode: 8, payload: closePayload(4000, 'mine') });
    feed(1, 'discarded');
    feed(2, new Uint8Array(100_000));
    feed(8, closePayload(4000, 'theirs'));
    await closing;
    expect([socket.state, socket.closeStatus, socket.closeStatusDescription]).toEqual(['Closed', 4000, 'theirs']);
  });
  it('close while a receive is outstanding: the receive gets the data and the close', async () => {
    const { socket, feed } = ends();
    const receiving = socket.receive(new Uint8Array(8));
    const closing = socket.close(1000);
    feed(8, closePayload(1000));
    expect((await receiving).messageType).toBe('Close');
    await closing;
    expect(socket.state).toBe('Closed');
  });
  it('close when the peer goes away: ConnectionClosedPrematurely', async () => {
    const { socket, peer } = ends();
    const closing = rejection(socket.close(1000));
    peer.end();
    expect(await closing).toMatchObject({ webSocketErrorCode: 'ConnectionClosedPrematurely' });
    expect(socket.state).toBe('Aborted');
  });
  it('a close without a status is Empty, both ways', async () => {
    const { socket, feed, frame } = ends();
    feed(8);
    expect((await socket.receive(new Uint8Array(8))).closeStatus).toBe(WebSocketCloseStatus.Empty);
    await socket.close(WebSocketCloseStatus.Empty, null);
    expect(await frame()).toMatchObject({ opcode: 8, payload: Buffer.alloc(0) });
  });
  it('a status or description that must not be sent is an ArgumentException', async () => {
    for (const operation of ['close', 'closeOutput'] as const) {
      const { socket } = ends();
      // 1010 is a client's to send.
      for (const status of [0, 999, 1004, 1006, 1010, 1015, 1016, 2999, 5000, 1000.5, '1000' as unknown as number]) {
        expect(await rejection(socket[operation](status)), String(status)).toBeInstanceOf(ArgumentException);
      }
      expect(await rejection(socket[operation](WebSocketCloseStatus.Empty, 'x'))).toBeInstanceOf(ArgumentException);
      expect(await rejection(socket[operation](1000, 'é'.repeat(62)))).toBeInstanceOf(ArgumentException);
      expect(socket.state).toBe('Open');
      socket.abort();
      const client = ends({ isServer: false }).socket;
      await client.closeOutput(WebSocketCloseStatus.MandatoryExtension, null);
      expect(client.state).toBe('CloseSent');
    }
  });
  it('any status that a client may send can be given back to it', async () => {
    for (const status of [1000, 1003, 1007, 1010, 1014, 3000, 4999]) {
      const { socket, feed, frame } = ends();
      const payload = Buffer.from([status >> 8, status & 255, 0x6f, 0x6b]);
      feed(8, payload);
      const { closeStatus, closeStatusDescription } = await socket.receive(new Uint8Array(8));
      await socket.close(closeStatus as number, closeStatusDescription);
      expect(await frame()).toMatchObject({ opcode: 8, payload });
      expect(socket.state).toBe('Closed');
    }
  });
  it('abort: Aborted at once, what is outstanding is cancelled, the transport is dropped', async () => {
    const { socket, near } = ends();
    const receiving = rejection(socket.receive(new Uint8Array(8)));
    socket.abort();
    expect([socket.state, near.destroyed]).toEqual(['Aborted', true]);
    expect(await receiving).toBeInstanceOf(OperationCanceledException);
    socket.abort();
  });
  it('after dispose every operation is an ObjectDisposedException', async () => {
    const { socket } = ends();
    const receiving = rejection(socket.receive(new Uint8Array(8)));
    socket.dispose();
    socket.dispose();
    expect(await receiving).toBeInstanceOf(OperationCanceledException);
    for (const operation of [
      () => socket.receive(new Uint8Array(8)),
      () => socket.send('x', 'Text'),
      () => socket.close(1000),
      () => socket.closeOutput(1000),
    ]) {
      expect(await rejection(operation())).toBeInstanceOf(ObjectDisposedException);
    }
    expect(socket.state).toBe('Aborted');
  });
  it('dispose after an orderly close keeps the state', async () => {
    const { socket, feed } = ends();
    feed(8, closePayload(1000));
    await socket.receive(new Uint8Array(8));
    await socket.close(1000);
    socket[Symbol.dispose]();
    expect(socket.state).toBe('Closed');
  });
});

describe('AbortSignal', () => {
  it('aborts the socket, and the operation rejects with its reason', async () => {
    const { socket } = ends();
    const controller = new AbortController();
    const receiving = rejection(socket.receive(new Uint8Array(8), controller.signal));
    controller.abort(new Error('enough'));
    expect(await receiving).toEqual(new Error('enough'));
    expect(socket.state).toBe('Aborted');
  });
  it('that fired before does so at once; one that fires after the operation does nothing', async () => {
    const { socket, feed } = ends();
    const controller = new AbortController();
    feed(1, 'x');
    await socket.receive(new Uint8Array(8), controller.signal);
    await socket.send('x', 'Text', true, controller.signal);
    controller.abort();
    expect(socket.state).toBe('Open');
    expect((await rejection(socket.send('x', 'Text', true, controller.signal))).name).toBe('AbortError');
    expect((await rejection(socket.closeOutput(1000, null, controller.signal))).name).toBe('AbortError');
    const closing = new AbortController();
    const waiting = rejection(socket.close(1000, null, closing.signal));
    closing.abort();
    expect((await waiting).name).toBe('AbortError');
    expect(socket.state).toBe('Aborted');
  });
});

describe('receive by buffer type', () => {
  it('tells messages from fragments, and text from binary', async () => {
    const { socket, feed } = ends();
    const buffer = new Uint8Array(4);
    feed(1, 'abcdef');
    feed(2, Uint8Array.of(1, 2, 3, 4, 5, 6));
    feed(1, 'ok');
    feed(8, closePayload(1000, 'end'));
    const seen: [type: string, what: unknown][] = [];
    for (;;) {
      const { bufferType, bytesRead, closeStatus, closeReason } = await receiveByBufferType(socket, buffer);
      seen.push([
        bufferType,
        bufferType === 'Close' ? [closeStatus, closeReason] : Buffer.from(buffer.subarray(0, bytesRead)).toString('latin1'),
      ]);
      if (bufferType === 'Close') break;
    }
    const joined = (kind: string): string =>
      seen
        .filter(([type]) => String(type).startsWith(kind))
        .map(([, text]) => text)
        .join('');
    expect(joined('Utf8')).toBe('abcdefok');
    expect(joined('Binary')).toBe('\u0001\u0002\u0003\u0004\u0005\u0006');
    expect(seen.filter(([type]) => type === 'Utf8Message')).toHaveLength(2);
    expect(seen.filter(([type]) => type === 'BinaryMessage')).toHaveLength(1);
    expect(seen[0]?.[0]).toBe('Utf8Fragment');
    expect(seen.at(-1)).toEqual(['Close', [1000, 'end']]);
  });
});

describe('createFromStream', () => {
  it('makes a client or a server, which talk to each other', async () => {
    const [near, far] = duplexPair();
    const client = WebSocket.createFromStream(near, { isServer: false, subProtocol: 'chat' });
    const server = WebSocket.createFromStream(far, { isServer: true, subProtocol: 'chat', keepAliveInterval: -1, keepAliveTimeout: 1000 });
    expect([client.subProtocol, server.subProtocol]).toEqual(['chat', 'chat']);
    const buffer = new Uint8Array(32);
    await client.send('question', 'Text');
    expect(await server.receive(buffer)).toEqual(data(8, 'Text', true));
    await server.send('answer', 'Text');
    expect(await client.receive(buffer)).toEqual(data(6, 'Text', true));
    const closing = client.close(1000, 'bye');
    expect((await server.receive(buffer)).closeStatusDescription).toBe('bye');
    await server.close(1000, 'bye');
    await closing;
    expect([client.state, server.state]).toEqual(['Closed', 'Closed']);
  });
  it('refuses what is no duplex stream, and bad options', () => {
    const [stream] = duplexPair();
    const create =
      (given: unknown, options: unknown = { isServer: true }) =>
      () =>
        WebSocket.createFromStream(given as PassThrough, options as { isServer: boolean });
    expect(create(null)).toThrow(ArgumentNullException);
    expect(create(stream, null)).toThrow(ArgumentNullException);
    expect(create({})).toThrow(ArgumentException);
    expect(create(Readable.from([]))).toThrow(ArgumentException);
    expect(create(new PassThrough().end())).toThrow(ArgumentException);
    expect(create(stream, {})).toThrow(ArgumentException);
    expect(create(stream, { isServer: true, subProtocol: '' })).toThrow(ArgumentException);
    expect(create(stream, { isServer: true, subProtocol: 'a b' })).toThrow(ArgumentException);
    expect(create(stream, { isServer: true, keepAliveInterval: -2 })).toThrow(ArgumentOutOfRangeException);
    expect(create(stream, { isServer: true, keepAliveTimeout: Number.NaN })).toThrow(ArgumentOutOfRangeException);
  });
});

it('the errors have .NET’s names and JavaScript’s classes', () => {
  expect(new ArgumentException('m', 'p')).toBeInstanceOf(TypeError);
  expect(new ArgumentNullException('p')).toBeInstanceOf(ArgumentException);
  expect(new ArgumentOutOfRangeException('p', 1, 'm')).toBeInstanceOf(RangeError);
  expect(new ObjectDisposedException('x')).toBeInstanceOf(InvalidOperationException);
  const names = [
    new ArgumentException('m', 'p'),
    new ArgumentNullException('p'),
    new ArgumentOutOfRangeException('p', 1, 'm'),
    new InvalidOperationException('m'),
    new ObjectDisposedException('x'),
    new OperationCanceledException('m'),
    new WebSocketException('Faulted', 'm'),
  ].map(({ name }) => name);
  expect(names).toEqual([
    'ArgumentException',
    'ArgumentNullException',
    'ArgumentOutOfRangeException',
    'InvalidOperationException',
    'ObjectDisposedException',
    'OperationCanceledException',
    'WebSocketException',
  ]);
});
