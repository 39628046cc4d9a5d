/** An engine without the web's globals is told which of them is missing, as the package is imported or where it is needed first. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { root } from './repository.ts';

const needed = {
  core: ['TextDecoder', 'TextEncoder'],
  handshake: ['URL', 'btoa'],
  driver: ['queueMicrotask'],
  websocket: ['Event', 'EventTarget', 'DOMException'],
};
const pairs = Object.entries(needed).flatMap(([name, globals]) => globals.map((missing) => [name, missing] as const));

async function printed(missing: readonly string[], program: string): Promise<string> {
  const removed = missing.map((name) => `globalThis.${name} = undefined;`).join('');
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', removed + program], {
    cwd: root,
    timeout: 60_000,
  });
  return stdout;
}

it.each(pairs)('@ferrywire/%s without %s', async (name, missing) => {
  expect(await printed([missing], `import('@ferrywire/${name}').catch((error) => console.log(String(error)))`)).toBe(
    `TypeError: @ferrywire/${name} needs globalThis.${missing}, which this runtime does not have\n`,
  );
});

describe('what only the classes of WebSockets need', () => {
  const making = `
    const { defineWebSocket } = await import('@ferrywire/websocket');
    const classes = defineWebSocket({ connect: () => new Promise(() => {}) });
    for (const Class of [classes.WebSocket, classes.WebSocketStream]) {
      try {
        new Class('ws://h/');
        console.log('made');
      } catch (error) {
        console.log(String(error));
      }
    }`;
  it.each([
    ['MessageEvent', 'made'],
    ['Blob', 'made'],
    ['AbortController', null],
  ])('is asked for where one is made: %s', async (missing, stream) => {
    const refusal = `TypeError: @ferrywire/websocket needs globalThis.${missing}, which this runtime does not have`;
    expect(await printed([missing], making)).toBe(`${refusal}\n${stream ?? refusal}\n`);
  });

  it('is an Event of the host too, as that of jsdom is not', async () => {
    const loading = `
      globalThis.Event = class {};
      const { attach } = await import('@ferrywire/streams');
      console.log(typeof attach);`;
    expect(await printed([], loading)).toBe('function\n');
  });

  it.each([
    ['Event', 'before', ''],
    ['Event', 'behind', "await import('@ferrywire/websocket');"],
    ['MessageEvent', 'behind', "await import('@ferrywire/websocket');"],
  ])('is, and told of to who makes one: an %s that was set %s the import', async (name, _when, loading) => {
    const setting = `${loading} globalThis.${name} = class {};`;
    const refusal =
      "@ferrywire/websocket needs the Event and MessageEvent of this runtime, and its EventTarget does not dispatch globalThis's";
    expect(await printed([], setting + making)).toBe(`TypeError: ${refusal}\nmade\n`);
  });

  it('is not asked of who uses none, though the adapter has them', async () => {
    const echo = `
      const { attach, connect } = await import('@ferrywire/streams');
      const [up, down] = [new TransformStream(), new TransformStream()];
      const handlers = { onMessage: (peer, data) => peer.send('re ' + data) };
      attach({ readable: up.readable, writable: down.writable }, { handlers });
      const onMessage = (peer, data) => {
        console.log(data);
        peer.close();
      };
      const pair = { readable: down.readable, writable: up.writable };
      const peer = await connect('ws://pair/', pair, { handlers: { onMessage, onEnd: (_, { clean }) => console.log(clean) } });
      peer.send('a');`;
    expect(await printed(['MessageEvent', 'Blob', 'AbortController'], echo)).toBe('re a\ntrue\n');
  });
});
