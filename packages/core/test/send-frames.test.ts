/** Frames on the wire (RFC 6455 sections 5.2, 5.3): every length form byte for byte, masks, control frames, what a race gives. */
import { Connection } from '@ferrywire/core';
import { FrameParser, Opcode } from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Harness, hex, open, pattern, pseudoRandom, toHex, utf8 } from './connection-helpers.ts';
import { roles, sentMessages } from './sending-helpers.ts';

/** A source of masks that always gives 11 22 33 44. */
function sameMask(target: Uint8Array): void {
  for (let at = 0; at < target.length; at++) target[at] = 0x11 * ((at % 4) + 1);
}

const lengthForms: readonly [size: number, length: string][] = [
  [0, '00'],
  [1, '01'],
  [124, '7c'],
  [125, '7d'],
  [126, '7e 007e'],
  [127, '7e 007f'],
  [255, '7e 00ff'],
  [256, '7e 0100'],
  [4095, '7e 0fff'],
  [16_383, '7e 3fff'],
  [16_384, '7e 4000'],
  [61_440, '7e f000'],
  [65_534, '7e fffe'],
  [65_535, '7e ffff'],
  [65_536, '7f 0000000000010000'],
  [65_537, '7f 0000000000010001'],
  [1_048_577, '7f 0000000000100001'],
];

describe('exact bytes of a server', () => {
  it.each(lengthForms)('%i bytes, binary and text, as bytes and as a string', (size, length) => {
    const { connection, output } = open({ role: 'server' });
    const payload = pattern(size);
    expect(connection.sendBinary(payload)).toBe(true);
    expect(Buffer.compare(output(), Buffer.concat([hex(`82 ${length}`), payload]))).toBe(0);

    const letters = new Uint8Array(size).fill(0x61);
    const text = Buffer.concat([hex(`81 ${length}`), letters]);
    expect(connection.sendText('a'.repeat(size))).toBe(true);
    expect(Buffer.compare(output(), text)).toBe(0);
    expect(connection.sendText(letters)).toBe(true);
    expect(Buffer.compare(output(), text)).toBe(0);
    expect(connection.send('a'.repeat(size))).toBe(true);
    expect(Buffer.compare(output(), text)).toBe(0);
    expect(connection.send(payload)).toBe(true);
    expect(Buffer.compare(output(), Buffer.concat([hex(`82 ${length}`), payload]))).toBe(0);
  });
});

describe('exact bytes of a client', () => {
  it.each(lengthForms)('%i bytes, binary and text', (size, length) => {
    const { connection, output } = open({ role: 'client', random: sameMask });
    const [first, ...extra] = hex(length);
    const start = Uint8Array.of((first as number) | 0x80, ...extra);
    const mask = hex('11 22 33 44');
    const payload = pattern(size);
    const masked = payload.map((byte, at) => byte ^ (mask[at & 3] as number));
    for (const transfer of [false, true]) {
      const own = Uint8Array.from(payload);
      expect(connection.sendBinary(own, { transfer })).toBe(true);
      expect(Buffer.compare(output(), Buffer.concat([hex('82'), start, mask, masked]))).toBe(0);
      if (!transfer) expect(Buffer.compare(own, payload)).toBe(0);
    }
    const letters = new Uint8Array(size).fill(0x61);
    const maskedLetters = letters.map((byte, at) => byte ^ (mask[at & 3] as number));
    for (const data of ['a'.repeat(size), letters]) {
      expect(connection.sendText(data)).toBe(true);
      expect(Buffer.compare(output(), Buffer.concat([hex('81'), start, mask, maskedLetters]))).toBe(0);
    }
    expect(letters.every((byte) => byte === 0x61)).toBe(true);
  });

  it('writes every kind of frame', () => {
    const { connection, output } = open({ role: 'client', random: sameMask });
    const wire = (act: () => boolean): string => {
      expect(act()).toBe(true);
      return toHex(output());
    };
    expect(wire(() => connection.ping())).toBe('898011223344');
    expect(wire(() => connection.pong(hex('01')))).toBe('8a811122334410');
    expect(wire(() => connection.sendText('hi', { fin: false }))).toBe('018211223344794b');
    expect(wire(() => connection.sendContinuation(hex('00'), false))).toBe('00811122334411');
    expect(wire(() => connection.sendContinuation('', true))).toBe('808011223344');
    expect(wire(() => connection.close(1000, 'x'))).toBe('88831122334412ca4b');
  });
});

it('a server writes every kind of frame without a mask', () => {
  const { connection, output } = open({ role: 'server' });
  const wire = (act: () => boolean): string => {
    expect(act()).toBe(true);
    return toHex(output());
  };
  expect(wire(() => connection.ping())).toBe('8900');
  expect(wire(() => connection.ping(utf8('abc')))).toBe('8903616263');
  expect(wire(() => connection.pong(hex('01')))).toBe('8a0101');
  expect(wire(() => connection.sendBinary(hex('0102'), { fin: false }))).toBe('02020102');
  expect(wire(() => connection.sendContinuation(hex('03'), false))).toBe('000103');
  expect(wire(() => connection.sendContinuation(hex('04'), true))).toBe('800104');
  expect(wire(() => connection.close(1000, 'x'))).toBe('880303e878');
});

describe('masks (RFC 6455 section 5.3)', () => {
  it('come from the injected source, four bytes each, in its order and never twice', () => {
    const drawn: number[] = [];
    const keys: number[] = [];
    const source = pseudoRandom(42);
    const { connection, peer, receive, frames } = open({
      role: 'client',
      random: (target) => {
        source(target);
        drawn.push(...target);
      },
    });
    for (let i = 0; i < 500; i++) {
      connection.sendText(`message ${i}`);
      connection.sendBinary(pattern(i * 40), { transfer: i % 2 === 0 });
      connection.ping();
      receive(peer.ping('p'));
      if (i % 50 === 0) keys.push(...frames().map(({ header }) => header.maskKey));
    }
    connection.close(1000);
    keys.push(...frames().map(({ header }) => header.maskKey));
    expect(keys.length).toBe(2001);
    // The pongs overtake data, so the order on the wire is not the order of drawing: compare as sets of positions.
    const positions = new Map<number, number>();
    const bytes = Uint8Array.from(drawn);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at + 4 <= bytes.length; at += 4) positions.set(view.getUint32(at), at);
    expect(positions.size).toBe(bytes.length / 4);
    const used = keys.map((key) => positions.get(key));
    expect(used).not.toContain(undefined);
    expect(new Set(used).size).toBe(keys.length);
  });

  it('are the same for the same source, and differ from connection to connection', () => {
    const run = (seed: number): string => {
      const { connection, output } = open({ role: 'client', random: pseudoRandom(seed) });
      for (let i = 0; i < 20; i++) connection.sendText('same');
      return toHex(output());
    };
    expect(run(1)).toBe(run(1));
    expect(run(1)).not.toBe(run(2));
  });

  it('come from the platform when nothing is injected', () => {
    const keys = new Set<number>();
    for (let i = 0; i < 4; i++) {
      const connection = new Connection({ role: 'client', clock: () => 0 });
      for (let k = 0; k < 100; k++) connection.sendText('same');
      for (const { header } of new FrameParser().push(Buffer.concat(connection.takeOutput()))) keys.add(header.maskKey);
    }
    expect(keys.size).toBe(400);
  });

  it('a key of zeros is a mask all the same', () => {
    const { connection, output } = open({ role: 'client', random: (target) => void target.fill(0) });
    connection.sendText('hi');
    expect(toHex(output())).toBe('8182000000006869');
  });

  it('a server draws none', () => {
    let draws = 0;
    const { connection, peer, receive, output } = open({ role: 'server', random: () => void draws++ });
    connection.sendText('hi');
    connection.sendBinary(pattern(100_000));
    receive(peer.ping('x'), peer.close(1000));
    output();
    expect(draws).toBe(0);
  });
});

describe.each(roles)('control frames of a %s', (role) => {
  it('carry 0 to 125 bytes and leave the payload alone', () => {
    const { connection, frames } = open({ role });
    for (const size of [0, 1, 2, 124, 125]) {
      const payload = pattern(size);
      expect(connection.ping(payload)).toBe(true);
      expect(connection.pong(payload)).toBe(true);
      expect(payload).toEqual(pattern(size));
      expect(frames().map(({ header, payload: sent }) => [header.opcode, sent])).toEqual([
        [Opcode.Ping, payload],
        [Opcode.Pong, payload],
      ]);
    }
  });

  it('are copied: the buffer may change after the call', () => {
    const { connection, sent } = open({ role });
    const payload = utf8('abc');
    connection.ping(payload);
    payload.fill(0x7a);
    expect(sent()).toEqual(["PING 'abc'"]);
  });
});

describe.each(roles)('pongs of a %s', (role) => {
  it('answer in the order of arrival', () => {
    const { peer, receive, sent } = open({ role });
    receive(...Array.from({ length: 10 }, (_, i) => peer.ping(`ping ${i}`)));
    expect(sent()).toEqual(Array.from({ length: 10 }, (_, i) => `PONG 'ping ${i}'`));
  });

  it('go before queued data, between frames', () => {
    const { connection, peer, receive, sent } = open({ role });
    connection.sendText('queued');
    connection.sendBinary(pattern(20_000));
    receive(peer.ping('late'));
    const lines = sent();
    expect(lines.length).toBe(3);
    expect(lines.indexOf("PONG 'late'")).toBe(0);
    expect(lines[1]).toBe("TEXT 'queued'");
  });

  it('are at most 64, and the newest replaces the last', () => {
    const { peer, receive, sent } = open({ role });
    receive(...Array.from({ length: 70 }, (_, i) => peer.ping(String(i))));
    expect(sent()).toEqual([...Array.from({ length: 63 }, (_, i) => `PONG '${i}'`), "PONG '69'"]);
    receive(...Array.from({ length: 64 }, (_, i) => peer.ping(String(i))));
    expect(sent()).toEqual(Array.from({ length: 64 }, (_, i) => `PONG '${i}'`));
  });

  it.each([1, 2, 5])('limits.maxPendingPongs %i', (maxPendingPongs) => {
    const { peer, receive, sent } = open({ role, limits: { maxPendingPongs } });
    receive(...Array.from({ length: 10 }, (_, i) => peer.ping(String(i))));
    expect(sent()).toEqual([...Array.from({ length: maxPendingPongs - 1 }, (_, i) => `PONG '${i}'`), "PONG '9'"]);
  });

  it('hold memory for the limit and not for the flood', () => {
    const { connection, peer, receive, frames } = open({ role });
    const ping = peer.ping(new Uint8Array(125));
    for (let i = 0; i < 20_000; i++) receive(ping);
    expect(connection.bufferedAmount).toBeLessThan(64 * 200);
    expect(frames().length).toBe(64);
  });

  it('do not depend on the split of the input', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 20 }), { maxLength: 80 }), fc.integer({ min: 1, max: 40 }), (payloads, size) => {
        const whole = open({ role });
        const wire = Buffer.concat(payloads.map((payload) => whole.peer.ping(payload)));
        whole.receive(wire);
        const pieces = open({ role });
        for (let at = 0; at < wire.length; at += size) pieces.receive(Uint8Array.from(wire.subarray(at, at + size)));
        expect(pieces.output()).toEqual(whole.output());
      }),
      { numRuns: 50 },
    );
  });

  it('are left to the application with autoPong false', () => {
    const { connection, peer, receive, sent, of } = open({ role, autoPong: false });
    receive(peer.ping('mine'));
    expect(of('ping').map(({ data }) => data)).toEqual([utf8('mine')]);
    expect(sent()).toEqual([]);
    expect(connection.pong(utf8('mine'))).toBe(true);
    expect(sent()).toEqual(["PONG 'mine'"]);
  });
});

/** Everything that is sent, and what it returned. */
function sendAll({ connection }: Harness): boolean[] {
  const writer = connection.startMessage('text');
  return [
    connection.sendText('a'),
    connection.sendBinary(hex('01')),
    connection.send('a'),
    connection.sendText('a', { fin: false }),
    writer.write('a'),
    writer.end('a'),
    connection.ping(),
    connection.pong(),
    connection.close(1000),
  ];
}

describe.each(roles)('a race gives false and not an error, %s', (role) => {
  const races: Readonly<Record<string, (harness: Harness) => void>> = {
    'after close()': ({ connection }) => void connection.close(1000),
    "after the peer's close frame": ({ peer, receive }) => receive(peer.close(1000)),
    'after both': ({ connection, peer, receive }) => {
      connection.close(1000);
      receive(peer.close(1000));
    },
    'after fail()': ({ connection }) => connection.fail(1008, 'no'),
    'after a violation': ({ peer, receive }) => receive(peer.frame({ opcode: 3 })),
    'after EOF': ({ connection }) => connection.receiveEof(),
    'after a reset': ({ connection }) => connection.receiveError(new Error('ECONNRESET')),
    'after abort()': ({ connection }) => connection.abort(),
  };
  it.each(Object.entries(races))('%s', (_name, race) => {
    const harness = open({ role });
    race(harness);
    harness.output();
    const { messagesOut, framesOut, payloadOut } = harness.connection.stats;
    expect(new Set(sendAll(harness))).toEqual(new Set([false]));
    expect(harness.connection.bufferedAmount).toBe(0);
    expect(harness.connection.takeOutput()).toEqual([]);
    expect(harness.connection.stats).toMatchObject({ messagesOut, framesOut, payloadOut });
  });

  it('in the middle of a fragmented message', () => {
    const { connection, peer, receive, sent } = open({ role });
    connection.sendText('a', { fin: false });
    receive(peer.close(1000));
    expect(connection.sendContinuation('b', true)).toBe(false);
    expect(sent()).toEqual(["TEXT 'a' ...", 'CLOSE 1000']);
  });

  it('in the middle of a MessageWriter', () => {
    const { connection, frames } = open({ role });
    const writer = connection.startMessage('binary');
    expect(writer.write(hex('01'))).toBe(true);
    connection.close(1000);
    expect(writer.write(hex('02'))).toBe(false);
    expect(writer.end()).toBe(false);
    expect(sentMessages(frames(), true)).toEqual([]);
  });
});

it.each(roles)('counts what goes out, %s', (role) => {
  const { connection, output } = open({ role });
  connection.sendText('é');
  connection.sendText('ab', { fin: false });
  connection.ping(hex('00'));
  connection.sendContinuation('c', true);
  const bytes = output().length;
  expect(connection.stats).toMatchObject({ framesOut: 4, messagesOut: 2, payloadOut: 5, bytesOut: bytes });
});
