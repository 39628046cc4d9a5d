/**
 * The figures `npm test` ends with: read right from what each runner prints, and never taken for granted.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCounts, vitestCounts } from '../scripts/counts.mjs';
import { run } from '../scripts/process.mjs';
import { faultOf } from '../scripts/runtime-faults.mjs';
import { root } from './repository.ts';

describe('parseCounts', () => {
  it('reads uvu figures, colours and all', () => {
    const output =
      ' a  \u001b[32m• • \u001b[39m  (2 / 2)\n\n  Total:     2\n\u001b[32m  Passed:    2\u001b[39m\n  Skipped:   0\n  Duration:  1.20ms\n\n';
    expect(parseCounts(output)).toEqual({ passed: 2, failed: 0, skipped: 0 });
  });
  it('counts what uvu did not pass as failed', () => {
    expect(parseCounts('  Total:     5\n  Passed:    3\n  Skipped:   1\n')).toEqual({ passed: 3, failed: 2, skipped: 1 });
  });
  it('reads the last plain line', () => {
    expect(parseCounts('1 passed, 0 failed\nmore\n301 passed, 2 failed\n')).toEqual({ passed: 301, failed: 2, skipped: 0 });
  });
  it('does not take silence, or half of the figures, for success', () => {
    expect(parseCounts('')).toBeNull();
    expect(parseCounts('all fine')).toBeNull();
    expect(parseCounts('  Total:     5\n')).toBeNull();
    expect(parseCounts('it printed 5 passed, 0 failed once')).toBeNull();
  });
});

describe('vitestCounts', () => {
  it('counts a file that did not load as one failure', () => {
    const report = {
      testResults: [
        { name: 'a', status: 'passed', assertionResults: [{ status: 'passed' }, { status: 'skipped' }] },
        { name: 'b', status: 'failed', assertionResults: [] },
        { name: 'c', status: 'failed', assertionResults: [{ status: 'failed' }, { status: 'passed' }] },
      ],
    };
    expect(vitestCounts(report)).toEqual({ passed: 2, failed: 2, skipped: 1, notLoaded: ['b'] });
  });
});

describe('run', () => {
  it('reports output and exit code', async () => {
    const result = await run(process.execPath, ['-e', 'console.log("out"); console.error("err"); process.exitCode = 3'], { timeout: 20 });
    expect(result).toMatchObject({ code: 3, timedOut: false, error: null });
    expect(result.output).toContain('out\n');
    expect(result.output).toContain('err\n');
  });
  it('stops a process that hangs, and its children', async () => {
    const program = 'require("child_process").spawn(process.execPath, ["-e", "setInterval(() => 0, 1000)"], { stdio: "inherit" })';
    const result = await run(process.execPath, ['-e', program], { timeout: 1 });
    expect(result).toMatchObject({ timedOut: true, code: null });
  });
  it('reports a command that does not exist', async () => {
    const result = await run(join(root, 'no-such-command'), [], { timeout: 5 });
    expect(result.error).toContain('ENOENT');
  });
});

describe('faultOf', () => {
  const printed =
    "deno: nghttp2/lib/nghttp2_session.c:2402: int find_stream_on_goaway_func(void *, void *): Assertion `stream->closed_next == NULL' failed.";
  const ended = { code: null, output: `server: 599 cases in 7.71 s\n${printed}\n` };
  it('knows the abort of a runtime', () => {
    expect(faultOf('adapter conformance: node-http2', 'deno', ended)).toContain('denoland/deno#36788');
    expect(faultOf('HTTP/2', 'deno', { ...ended, code: 134 })).not.toBeNull();
  });
  it('excuses nothing else', () => {
    expect(faultOf('HTTP/2', 'node', ended)).toBeNull();
    expect(faultOf('adapter contract: deno', 'deno', ended)).toBeNull();
    expect(faultOf('HTTP/2', 'deno', { ...ended, code: 0 })).toBeNull();
    expect(faultOf('HTTP/2', 'deno', { code: 1, output: 'Assertion failed: stream->closed_next == NULL' })).toBeNull();
    expect(faultOf('HTTP/2', 'deno', { code: null, output: '' })).toBeNull();
  });
});

describe('an option that a script does not take', () => {
  it.each(['fuzz', 'soak', 'coverage', 'mutation', 'docs', 'check', 'test'])('ends %s with a line and exit code 2', (name) => {
    for (const [given, line] of [
      ['--nonsense', "Unknown option '--nonsense'"],
      ['word', "Unexpected argument 'word'"],
    ] as const) {
      // A word chooses suites.
      if (name === 'test' && given === 'word') continue;
      const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, `scripts/${name}.mjs`), given], {
        encoding: 'utf8',
        timeout: 30_000,
      });
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr.trimEnd().split('\n')).toEqual([expect.stringContaining(line)]);
    }
  });
});

describe('a value that looks like an option', () => {
  it.each(['fuzz', 'soak', 'mutation'])('has %s say how it is given', (name) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, `scripts/${name}.mjs`), '--seed', '-1'], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(/^Option '--seed' .* use '--seed=-XYZ'\.$/)]);
  });
});

describe('a value that makes no sense', () => {
  it.each([
    [['--sample', 'x'], /^--sample must be /],
    [['--sample', '0'], /^--sample must be /],
    [['--seed', 'x'], /--seed an integer$/],
    [['--file', 'nothing'], /^--file nothing: /],
    [['--tests', 'nothing'], /^--tests nothing: /],
    [['--again', join('no', 'such', 'file')], /^--again: ENOENT/],
    [['--out', join('no', 'such', 'file')], /^--out: ENOENT/],
  ])('ends mutation with a line and exit code 2: %j', (given, line) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts/mutation.mjs'), ...given], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(line)]);
  });
});

describe('help', () => {
  it.each([
    ['fuzz', ['--help'], '--target NAME   one of frames,'],
    ['soak', ['-h'], '--connections C'],
    ['coverage', ['--help'], '--keep FOLDER'],
    ['mutation', ['--sample', '1', '--help'], '--again FILE'],
    ['docs', ['--help'], 'use: npm run docs'],
    ['check', ['-h'], 'use: npm run check'],
    ['test', ['--help'], 'npm test -- [WORD ...]'],
  ] as const)('is what %s prints when it is asked for: %j', (name, given, words) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, `scripts/${name}.mjs`), ...given], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain(words);
  });
});

describe('a reader who leaves', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ferrywire-'));
    const file = join(folder, 'suite.mjs');
    writeFileSync(file, 'console.log("3 passed, 0 failed")');
    const list = `export const suites = [{ name: 'planted', file: ${JSON.stringify(file)}, runtimes: ['node'] }];`;
    writeFileSync(join(folder, 'suites.mjs'), list);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** How it ends, and what it says of that. */
  async function unread(args: readonly string[]): Promise<[unknown, string]> {
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, FERRYWIRE_SUITES: join(folder, 'suites.mjs') },
    });
    child.stdout.destroy();
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors += text;
    });
    const [code] = await once(child, 'close');
    return [code, errors];
  }

  it.each([
    ['soak', ['--minutes', '0.0001', '--connections', '1', '--seed', '2']],
    ['fuzz', ['--minutes', '0.001', '--target', 'frames', '--seed', '1']],
    ['test', ['planted']],
  ])(
    'changes nothing for %s: it runs to its end and exits with what it found',
    async (name, args) => {
      expect(await unread([join(root, `scripts/${name}.mjs`), ...args])).toEqual([0, '']);
    },
    60_000,
  );

  it('ends bench, without a word', { timeout: 60_000 }, async () => {
    const args = ['parse', 'parse', '--quick', '--rounds', '1', '--only', 'text 125 B'];
    expect(await unread([join(root, 'bench/dist/main.js'), ...args])).toEqual([0, '']);
  });
});

describe('the closing line', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ferrywire-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('is an error when nothing ran', () => {
    const { status, stdout } = spawnSync(process.execPath, [join(root, 'scripts/test.mjs'), 'no suite has this name'], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stdout.trimEnd().split('\n').slice(-2)).toEqual(['nothing ran', '0 passed, 0 failed']);
    expect(status).toBe(1);
  });

  it.each([
    ['passes', 'console.log("3 passed, 0 failed")', '3 passed, 0 failed', 0],
    ['fails a test', 'console.log("2 passed, 1 failed"); process.exitCode = 1', '2 passed, 1 failed', 1],
    ['says it passed and exits 1', 'console.log("3 passed, 0 failed"); process.exitCode = 1', '3 passed, 1 failed', 1],
    ['prints no figures', 'console.log("fine")', '0 passed, 1 failed', 1],
    ['runs nothing', 'console.log("0 passed, 0 failed")', '0 passed, 1 failed', 1],
    ['does not load', 'import "./missing.mjs"', '0 passed, 1 failed', 1],
    ['hangs', 'setInterval(() => 0, 1000)', '0 passed, 1 failed', 1],
  ])('counts a suite that %s', (_, program, line, code) => {
    const file = join(folder, 'suite.mjs');
    writeFileSync(file, program);
    const list = join(folder, 'suites.mjs');
    writeFileSync(list, `export const suites = [{ name: 'planted', file: ${JSON.stringify(file)}, runtimes: ['node'], timeout: 3 }];`);
    const { status, stdout } = spawnSync(process.execPath, [join(root, 'scripts/test.mjs'), 'planted'], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, FERRYWIRE_SUITES: list },
    });
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(line);
    expect(status).toBe(code);
  });

  it.each([
    ['once', '0', '3 passed, 0 failed', 0],
    ['each time', '9', '0 passed, 1 failed', 1],
  ])('runs a suite once more that a fault of its runtime ended %s', (_, times, line, code) => {
    const file = join(folder, 'faulty.mjs');
    const marks = join(folder, `runs-${times}`);
    writeFileSync(
      file,
      `import { appendFileSync, readFileSync } from 'node:fs';
      appendFileSync(${JSON.stringify(marks)}, '.');
      if (readFileSync(${JSON.stringify(marks)}).length > ${times} + 1) console.log('3 passed, 0 failed');
      else {
        console.log("deno: nghttp2/lib/nghttp2_session.c:1: int find_stream_on_goaway_func(void *, void *): Assertion \`x' failed.");
        process.exit(134);
      }`,
    );
    const list = join(folder, 'suites.mjs');
    writeFileSync(
      list,
      `export const suites = [{ name: 'planted HTTP/2', file: ${JSON.stringify(file)}, runtimes: ['deno'], timeout: 20 }];`,
    );
    const { status, stdout } = spawnSync(process.execPath, [join(root, 'scripts/test.mjs'), 'planted'], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, FERRYWIRE_SUITES: list },
    });
    expect(readFileSync(marks, 'utf8')).toBe('..');
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(line);
    expect(stdout).toContain('run once more, since a fault of the runtime ended it: denoland/deno#36788');
    expect(status).toBe(code);
  });
});
