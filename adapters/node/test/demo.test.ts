/** The demo without a browser: who may open the control channel, what it does with commands, and that the drawing shows the core's table. */
import { connect, type Peer, type PeerHandlers } from '@ferrywire/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lifecycle } from '../../../packages/core/dist/state.js';
import { violations } from '../../../packages/core/dist/violations.js';
import { bitFields, headerBytes, wireHex } from '../dist/demo/browser/frame-bits.js';
import { arrows, places } from '../dist/demo/browser/machine.js';
import type { Command, FrameView, Line, Snapshot, ToPage, Verdict } from '../dist/demo/browser/messages.js';
import { parseCommand } from '../dist/demo/commands.js';
import { illegalInputs } from '../dist/demo/illegal.js';
import { page } from '../dist/demo/page.js';
import { type Demo, startDemo } from '../dist/demo/server.js';
import { failureOf, RawClient, requestFor } from './helpers.ts';

let demo: Demo;
let port = 0;
const peers: Peer[] = [];
beforeEach(async () => {
  demo = await startDemo({ port: 0, host: '127.0.0.1' });
  port = Number(new URL(demo.url).port);
});
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.abort();
  await demo.close();
});

/** A page: its control channel, and what came over it. */
class ControlChannel {
  peer: Peer | null = null;
  readonly got: ToPage[] = [];
  #wake: (() => void)[] = [];

  static async open(options: { origin?: string; host?: string } = {}): Promise<ControlChannel> {
    const channel = new ControlChannel();
    const handlers: PeerHandlers = {
      onText: (_, text) => {
        channel.got.push(JSON.parse(text) as ToPage);
        for (const wake of channel.#wake.splice(0)) wake();
      },
    };
    channel.peer = await connect(`ws://${options.host ?? `127.0.0.1:${port}`}/demo/control`, {
      handlers,
      origin: options.origin ?? `http://127.0.0.1:${port}`,
      connect: () => RawClient.open(port).then(({ socket }) => socket.removeAllListeners('data')),
    });
    peers.push(channel.peer);
    return channel;
  }
  send(command: Command | string): void {
    this.peer?.send(typeof command === 'string' ? command : JSON.stringify(command));
  }
  /** The first message that fits, now or later. */
  async next<Found extends ToPage>(fits: (message: ToPage) => message is Found): Promise<Found> {
    for (;;) {
      const found = this.got.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }
  async token(): Promise<string> {
    return (await this.next((message) => message.type === 'hello')).token;
  }
  async verdict(connection: number): Promise<Verdict> {
    return this.next(
      (message): message is Verdict & { type: 'verdict' } => message.type === 'verdict' && message.connection === connection,
    );
  }
  async snapshot(fits: (snapshot: Snapshot) => boolean): Promise<Snapshot> {
    return this.next((message): message is Snapshot & { type: 'connection' } => message.type === 'connection' && fits(message));
  }
  async line(text: string): Promise<Line> {
    const fits = (line: Line): boolean => line.text.startsWith(text);
    const { lines } = await this.next(
      (message): message is Extract<ToPage, { type: 'lines' }> => message.type === 'lines' && message.lines.some(fits),
    );
    const line = lines.find(fits);
    if (line === undefined) throw new Error(text);
    return line;
  }
}

describe('the control channel', () => {
  it('S18 is for pages from here, under an address or a name of this machine', async () => {
    const here = `127.0.0.1:${port}`;
    const refused = [
      { origin: 'http://example.com' },
      { origin: `http://127.0.0.1:${port + 1}` },
      { origin: `http://${here}.example.com` },
      { origin: 'null' },
      { host: `rebound.example.com:${port}`, origin: `http://rebound.example.com:${port}` },
    ];
    for (const options of refused) {
      const error = await failureOf(ControlChannel.open(options));
      expect([options, (error as { response?: { status: number } }).response?.status]).toEqual([options, 403]);
    }
    const noOrigin = await RawClient.open(port);
    noOrigin.write(requestFor('/demo/control').replace('Host: 127.0.0.1', `Host: ${here}`));
    expect(await noOrigin.head()).toContain(' 403 ');
    noOrigin.socket.destroy();
    await (await ControlChannel.open({ host: `localhost:${port}`, origin: `http://localhost:${port}` })).token();
    await (await ControlChannel.open()).token();
  });

  it('takes so many pages and no more', async () => {
    for (let count = 0; count < 16; count++) await ControlChannel.open();
    const error = await failureOf(ControlChannel.open());
    expect((error as { response?: { status: number } }).response?.status).toBe(503);
    peers.pop()?.abort();
    // One has gone: its place is free once the server has seen it.
    for (let tries = 0; ; tries++) {
      const again = await ControlChannel.open().catch(() => null);
      if (again !== null) break;
      expect(tries).toBeLessThan(100);
    }
  });

  it('answers what it does not understand, and goes on', async () => {
    const channel = await ControlChannel.open();
    await channel.token();
    for (const wrong of [
      '',
      '{',
      '[]',
      'null',
      '{"do":"text"}',
      '{"do":"constructor","client":"raw"}',
      '{"do":"illegal","name":"__proto__"}',
    ]) {
      channel.got.length = 0;
      channel.send(wrong);
      await channel.next((message) => message.type === 'problem');
    }
    channel.got.length = 0;
    channel.send({ do: 'text', client: 'raw', text: 'nobody is connected' });
    await channel.next((message) => message.type === 'problem');
  });

  it('checks every command', () => {
    const good: readonly Command[] = [
      { do: 'connect', subprotocol: '' },
      { do: 'text', client: 'raw', text: 'a' },
      { do: 'binary', client: 'raw', hex: '00 ff' },
      { do: 'fragments', client: 'browser', text: 'abc', parts: 3 },
      { do: 'ping', client: 'browser', text: '' },
      { do: 'close', client: 'raw', code: 1000, reason: '' },
      { do: 'close', client: 'raw', code: null, reason: '' },
      { do: 'fill', client: 'raw', messages: 64, size: 16_384 },
      { do: 'pause', client: 'raw' },
      { do: 'resume', client: 'browser' },
      { do: 'illegal', name: 'rsv' },
    ];
    for (const command of good) expect(parseCommand(JSON.stringify(command))).toEqual(command);
    const bad: readonly unknown[] = [
      { do: 'binary', client: 'raw', hex: '0' },
      { do: 'binary', client: 'raw', hex: 'zz' },
      { do: 'fragments', client: 'raw', text: 'abc', parts: 0 },
      { do: 'fragments', client: 'raw', text: 'abc', parts: 1e9 },
      { do: 'fragments', client: 'raw', text: 'abc', parts: 1.5 },
      { do: 'fill', client: 'raw', messages: 1e9, size: 1 },
      { do: 'fill', client: 'raw', messages: 1, size: 1e9 },
      { do: 'text', client: 'raw', text: 'x'.repeat(65_537) },
      { do: 'text', client: 'somebody', text: 'x' },
      { do: 'pause' },
      { do: 'close', client: 'raw', code: '1000', reason: '' },
    ];
    for (const command of bad) expect(parseCommand(JSON.stringify(command))).toBeNull();
  });
});

describe('a session', () => {
  it('shows a client that names its token: lines, bits, state and end', async () => {
    const channel = await ControlChannel.open();
    const token = await channel.token();
    const peer = await connect(`${demo.url}?log=${token}`, { subprotocols: ['a', 'b'] });
    peers.push(peer);
    peer.send('hi');
    const line = await channel.line("< TEXT 'hi' [2 bytes]");
    expect(line.frame).toMatchObject({ opcode: 1, fin: true, rsv: 0, masked: true, length: 2, lengthBytes: 0, preview: '6869' });
    const answer = await channel.line("> TEXT 'hi' [2 bytes]");
    expect(answer.frame).toMatchObject({ masked: false, maskKey: 0 });
    const open = await channel.snapshot(({ state }) => state === 'open');
    expect(open).toMatchObject({ connection: 1, client: 'browser', subprotocol: 'a', paused: false, gone: false });
    peer.close(4000, 'over');
    expect(await channel.verdict(1)).toMatchObject({ clean: true, code: 4000, reason: 'over', cause: null });
    await channel.snapshot(({ gone, state }) => gone && state === 'ended');
  });

  it('shows nothing of a client that does not', async () => {
    const channel = await ControlChannel.open();
    await channel.token();
    const answered = new Promise((resolve) => {
      connect(`${demo.url}?log=guess`, { handlers: { onMessage: (_, data) => resolve(data) } }).then((peer) => {
        peers.push(peer);
        peer.send('unseen');
      });
    });
    expect(await answered).toBe('unseen');
    expect(channel.got.map(({ type }) => type)).toEqual(['hello']);
  });

  it('watches few connections; the others are echoed all the same', async () => {
    const channel = await ControlChannel.open();
    const token = await channel.token();
    let echoed = 0;
    await new Promise<void>((resolve) => {
      const handlers: PeerHandlers = {
        onOpen: (peer) => void peer.send('x'),
        onMessage: () => {
          if (++echoed === 10) resolve();
        },
      };
      for (let count = 0; count < 10; count++) connect(`${demo.url}?log=${token}`, { handlers }).then((peer) => peers.push(peer));
    });
    const ids = new Set(
      channel.got.flatMap((message) => (message.type === 'lines' ? message.lines.map(({ connection }) => connection) : [])),
    );
    expect(ids.size).toBeLessThanOrEqual(8);
  });

  it('holds bytes while the reader is paused, and counts them', async () => {
    const channel = await ControlChannel.open();
    await channel.token();
    channel.send({ do: 'connect', subprotocol: '' });
    await channel.snapshot(({ sent }) => sent !== null);
    channel.send({ do: 'pause', client: 'raw' });
    await channel.snapshot(({ paused }) => paused);
    channel.send({ do: 'fill', client: 'raw', messages: 64, size: 16_384 });
    const total = 64 * (16_384 + 8);
    const held = await channel.snapshot(({ sent }) => sent === total);
    expect(held).toMatchObject({ paused: true, client: 'raw', answers: 0 });
    // What was read before the pause took effect is held and not parsed; the rest waits on the way, which has room for this much.
    expect(held.received).toBeLessThanOrEqual(held.held + 65_536);
    expect(held.received).toBeLessThan(total);
    channel.send({ do: 'resume', client: 'raw' });
    await channel.snapshot(({ received, held: bytes, answers }) => received === total && bytes === 0 && answers === 0);
  });

  it('shows each illegal input with its violation', async () => {
    const channel = await ControlChannel.open();
    await channel.token();
    let connection = 0;
    for (const { name, violation } of illegalInputs) {
      channel.send({ do: 'illegal', name });
      connection++;
      const { code, closeCode, section } = violations[violation];
      expect([name, (await channel.verdict(connection)).cause]).toMatchObject([name, { code, closeCode, section }]);
    }
  });

  it('ends with its page: the raw peer is dropped', async () => {
    const channel = await ControlChannel.open();
    const token = await channel.token();
    channel.send({ do: 'connect', subprotocol: '' });
    await channel.snapshot(({ sent }) => sent !== null);
    channel.peer?.abort();
    // The token is worth nothing any more: the demo closes although nobody closed the raw peer.
    const late = await connect(`${demo.url}?log=${token}`);
    peers.push(late);
    await demo.close();
  });
});

describe('the drawing', () => {
  it('has every state, and exactly the transitions of the table that change the state', () => {
    expect(Object.keys(places).sort()).toEqual(Object.keys(lifecycle).sort());
    const drawn = arrows.flatMap(({ from, input, to }) => from.map((state) => `${state} ${input} ${to}`)).sort();
    const listed = Object.entries(lifecycle).flatMap(([state, row]) =>
      Object.entries(row).flatMap(([input, to]) => (to === null || to === state ? [] : [`${state} ${input} ${to}`])),
    );
    expect(drawn).toEqual(listed.sort());
  });
});

describe('the bits of a frame', () => {
  const frame = (given: Partial<FrameView>): FrameView => ({
    opcode: 1,
    fin: true,
    rsv: 0,
    masked: true,
    length: 5,
    lengthBytes: 0,
    maskKey: 0x37fa213d,
    preview: '48656c6c6f',
    ...given,
  });
  const named = (view: FrameView): Record<string, string> => Object.fromEntries(bitFields(view).map(({ name, bits }) => [name, bits]));

  it('are those of RFC 6455 section 5.7', () => {
    expect(wireHex(frame({}))).toBe('81 85 37 fa 21 3d 7f 9f 4d 51 58');
    expect(wireHex(frame({ masked: false, maskKey: 0 }))).toBe('81 05 48 65 6c 6c 6f');
    expect(headerBytes(frame({ opcode: 2, masked: false, length: 256, lengthBytes: 2 }))).toEqual([0x82, 0x7e, 1, 0]);
    expect(headerBytes(frame({ opcode: 2, masked: false, length: 65_536, lengthBytes: 8 }))).toEqual([0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    expect(named(frame({}))).toEqual({
      FIN: '1',
      'RSV1–3': '000',
      Opcode: '0001',
      MASK: '1',
      'Payload length': '0000101',
      'Masking key': '37 fa 21 3d',
      'Payload, masked': '7f 9f 4d 51 58',
      Payload: '48 65 6c 6c 6f',
    });
  });
  it('stop where a refused frame was not read on', () => {
    expect(named(frame({ opcode: 3, length: -1, masked: false, maskKey: 0, preview: '' }))).toEqual({
      FIN: '1',
      'RSV1–3': '000',
      Opcode: '0011',
      'The rest': '',
    });
    expect(named(frame({ opcode: 9, length: -1, lengthBytes: 2, maskKey: 0, preview: '' }))).toMatchObject({
      'Payload length': '1111110',
      'The rest': '',
    });
    expect(wireHex(frame({ opcode: 3, length: -1, masked: false, maskKey: 0, preview: '' }))).toBe('83');
  });
  it('say when there is more than is shown', () => {
    expect(wireHex(frame({ length: 300, lengthBytes: 2, preview: '61'.repeat(125) }))).toMatch(/…$/);
  });
});

describe('plain HTTP', () => {
  it('gives the page, its scripts and its style, and nothing else', () => {
    expect(page('GET', '/?anything').status).toBe(200);
    for (const path of ['/demo/main.js', '/demo/style.css']) expect(page('GET', path)).toMatchObject({ status: 200 });
    for (const path of [
      '/demo/',
      '/demo/main.js.map',
      '/demo/../server.js',
      '/demo/%2e%2e/server.js',
      '/demo/messages.d.ts',
      '/constructor',
      '*',
    ]) {
      expect([path, page('GET', path).status]).toEqual([path, 404]);
    }
    expect(page('POST', '/').status).toBe(405);
    const { headers, body } = page('GET', '/');
    expect(headers['Content-Security-Policy']).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
    // What the policy would forbid is not there: nothing inline, nothing from elsewhere.
    expect(body).not.toMatch(/<script(?![^>]*src=)|<style| style=| on\w+=|https?:/);
  });

  it('is not what a handshake without its upgrade gets', async () => {
    for (const lacking of ['Upgrade: websocket\r\n', 'Connection: Upgrade\r\n']) {
      const client = await RawClient.open(port);
      client.write(requestFor().replace(lacking, ''));
      const head = await client.head();
      expect([lacking, head]).toEqual([lacking, expect.stringMatching(/^HTTP\/1\.1 426 /)]);
      expect(head).toMatch(/^Upgrade: websocket$/m);
      expect(head).toMatch(/^Sec-WebSocket-Version: 13$/m);
      expect(await client.closed).toBe(null);
    }
  });
});
