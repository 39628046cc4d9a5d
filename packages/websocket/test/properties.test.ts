/** ROBUSTNESS-chunking-invariance-1 and ROBUSTNESS-sans-io-1 on the class: cuts and reruns change nothing that can be seen. */
import { serializeFrame } from '@ferrywire/core/frame';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { closePayload, hex, opened, utf8 } from './helpers.ts';

const step = fc.oneof(
  fc.record({ opcode: fc.constantFrom(1, 2), payload: fc.string({ maxLength: 40 }).map(utf8), fin: fc.constant(true) }),
  fc.record({ opcode: fc.constant(9), payload: fc.string({ maxLength: 10 }).map(utf8), fin: fc.constant(true) }),
  fc.record({ opcode: fc.constantFrom(0, 3, 8), payload: fc.uint8Array({ maxLength: 4 }), fin: fc.boolean() }),
);

/** What a socket that echoes shows of this input: its events and its output. */
async function observe(input: Uint8Array, sizes: readonly number[]): Promise<{ log: string[]; written: string }> {
  const { ws, log, transport, tasks } = await opened();
  ws.binaryType = 'arraybuffer';
  ws.onmessage = (event) => ws.send(event.data as string);
  let at = 0;
  for (const size of sizes) {
    transport.feed(input.subarray(at, at + size));
    at = Math.min(input.length, at + size);
    if (size % 3 === 0) await tasks.run();
  }
  transport.feed(input.subarray(at));
  transport.feedEof();
  await tasks.run();
  return { log, written: hex(transport.written) };
}

it('ROBUSTNESS-chunking-invariance-1: any split of the input gives the same events, in the same order', async () => {
  const tally = { clean: 0, failed: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 12 }),
      async (steps, sizes) => {
        const frames = [...steps, { opcode: 8, payload: closePayload(1000, 'end'), fin: true }].map((frame) => serializeFrame(frame));
        const input = Uint8Array.from(frames.flatMap((frame) => [...frame]));
        const whole = await observe(input, []);
        const cut = await observe(input, sizes);
        expect(cut.log).toEqual(whole.log);
        // Exactly one close event, last; an error only right before it.
        expect(whole.log.filter((line) => line.startsWith('close'))).toHaveLength(1);
        expect(whole.log.at(-1)).toMatch(/^close 3/);
        const errors = whole.log.filter((line) => line.startsWith('error'));
        expect(errors).toHaveLength(whole.log.at(-1)?.startsWith('close 3 true') === true ? 0 : 1);
        tally[errors.length === 0 ? 'clean' : 'failed'] += 1;
      },
    ),
    { numRuns: 60 },
  );
  expect(Math.min(tally.clean, tally.failed)).toBeGreaterThan(3);
});

it('ROBUSTNESS-sans-io-1: with a fixed clock and random source a conversation gives the same bytes twice', async () => {
  const frames = [serializeFrame({ opcode: 1, payload: utf8('hello') }), serializeFrame({ opcode: 8, payload: closePayload(4000) })];
  const input = Uint8Array.from(frames.flatMap((frame) => [...frame]));
  const first = await observe(input, [3]);
  expect(first.written.length).toBeGreaterThan(20);
  expect(await observe(input, [3])).toEqual(first);
});
