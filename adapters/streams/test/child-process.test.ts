/** The adapter over a child's standard input and output, with children on every runtime. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { EndInfo } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { runtimes } from '../../../scripts/runtimes.mjs';
import { connect } from '../examples/child-process.mjs';

const script = fileURLToPath(new URL('../examples/echo-child.mjs', import.meta.url));

function started(name: keyof typeof runtimes): ReturnType<typeof spawn> & { stdin: NodeJS.WritableStream; stdout: NodeJS.ReadableStream } {
  const { command, args } = runtimes[name];
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: '1' };
  return spawn(command, [...args, script], { stdio: ['pipe', 'pipe', 'inherit'], env }) as ReturnType<typeof started>;
}

describe('the adapter over a child process', () => {
  for (const name of ['node', 'node24', 'node26', 'bun', 'deno'] as const) {
    // Node 24 and 26, Bun and Deno have no build for every platform.
    const here = existsSync(runtimes[name].command) ? name : 'node';
    it(`talks to a child on ${name}${here === name ? '' : ' (not installed: on node)'}`, async () => {
      const child = started(here);
      try {
        const messages: (string | Uint8Array)[] = [];
        let received = (): void => {};
        const all = new Promise<void>((resolve) => {
          received = resolve;
        });
        let over = (_: EndInfo): void => {};
        const ended = new Promise<EndInfo>((resolve) => {
          over = resolve;
        });
        const exited = new Promise((resolve) => child.once('exit', resolve));
        const peer = await connect(child as Parameters<typeof connect>[0], {
          onMessage(_, data) {
            messages.push(data);
            if (messages.length === 3) received();
          },
          onEnd: (_, info) => over(info),
        });
        const large = new Uint8Array(1_000_000).map((_, index) => index * 7);
        peer.send('hello, child');
        peer.send(large);
        peer.send('still there?');
        await all;
        expect([messages[0], messages[2]]).toEqual(['hello, child', 'still there?']);
        expect(Buffer.compare(messages[1] as Uint8Array, large)).toBe(0);
        peer.close(1000);
        expect(await ended).toMatchObject({ clean: true, code: 1000 });
        expect(await exited).toBe(0);
      } finally {
        child.kill('SIGKILL');
      }
    });
  }
});
