/**
 * The measurements measure what they say: the bytes are legal frames that stay legal when unmasked in place, and ratios are taken per round.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { clientFrame, clientStream, jsonMessages, median, medianRatio, serverFrameSize } from '@ferrywire/bench';
import { FrameParser } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';

describe('the command', () => {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

  it('takes no word that no row has for a run without a miss', () => {
    const { status, stderr } = spawnSync(process.execPath, [main, 'parse', '--quick', '--only', '17 B'], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect([status, stderr]).toEqual([2, '--only 17 B: no row of parse has such a name; see --help\n']);
  });

  it.each([
    [['memory'], '--only is not for memory'],
    [['parse', 'memory'], '--only is not for memory'],
    [[], '--only zzz: no row of parse, echo, deflate has such a name'],
  ])('measures no memory for rows of something else: %j', (names, line) => {
    const { status, stderr } = spawnSync(process.execPath, [main, ...names, '--quick', '--rounds', '1', '--only', 'zzz'], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect([status, stderr]).toEqual([2, `${line}; see --help\n`]);
  });

  it.each([
    [['--help'], 0, 'use: npm run bench -- [parse]', ''],
    [['parse', '-h'], 0, '--only WORD', ''],
    [['--nonsense'], 2, '', "Unknown option '--nonsense'; see --help\n"],
    [['nothing'], 2, '', 'no measurement nothing; see --help\n'],
  ])('says what it takes: %j', (args, code, words, line) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', timeout: 30_000 });
    expect([status, stderr]).toEqual([code, line]);
    expect(stdout).toContain(words);
  });
});

describe('statistics', () => {
  it('takes medians', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });
  it('takes ratios within a round, so that a slow round changes nothing', () => {
    expect(medianRatio([4, 400, 4], [2, 200, 2])).toBe(2);
    expect(medianRatio([], [])).toBeNaN();
  });
});

describe.each(['binary', 'text'] as const)('%s frames', (kind) => {
  it.each([0, 16, 125, 126, 1024, 65535, 65536])('of %i bytes are masked, whole and minimal', (size) => {
    const [frame, ...rest] = new FrameParser({ maxFrameSize: 1e6 }).push(clientFrame(kind, size));
    expect(rest).toEqual([]);
    expect(frame?.header).toMatchObject({ fin: true, rsv: 0, opcode: kind === 'text' ? 1 : 2, masked: true, payloadLength: size });
    expect(frame?.payload.length).toBe(size);
    expect(frame?.header.lengthBytes).toBe(size < 126 ? 0 : size < 65536 ? 2 : 8);
    expect(serverFrameSize(size)).toBe(clientFrame(kind, size).length - 4);
  });

  it('arrive in reads that lose nothing', () => {
    const { chunks, messages, payloadBytes } = clientStream(kind, 1000, 200_000, 64 * 1024);
    const parser = new FrameParser();
    const frames = chunks.flatMap((chunk) => [...parser.push(chunk)]);
    expect(chunks.length).toBeGreaterThan(2);
    expect(frames.length).toBe(messages);
    expect(frames.reduce((sum, { payload }) => sum + payload.length, 0)).toBe(payloadBytes);
  });
});

it('text stays seven-bit, masked and unmasked', () => {
  const frame = clientFrame('text', 1000);
  const masked = frame.subarray(8);
  const key = frame.subarray(4, 8);
  expect(masked.every((byte) => byte < 0x80)).toBe(true);
  expect(masked.every((byte, index) => (byte ^ (key[index & 3] ?? 0)) < 0x80)).toBe(true);
});

it.each([100, 1024, 65536])('JSON messages of %i bytes exceed the window and differ', (size) => {
  const { messages } = jsonMessages(size);
  expect(messages.every((message) => message.length === size)).toBe(true);
  expect(messages.length * size).toBeGreaterThanOrEqual(64 * 1024);
  expect(new Set(messages.map((message) => message.toString())).size).toBe(messages.length);
});
