/**
 * The cases as data: their ids, their shape, and what is made from them.
 */
import assert from 'node:assert/strict';
import { type Case, cases, explainCase, extraCases, parsePatterns, selectCases, unmatchedPatterns } from '@ferrywire/conformance';
import { describe, expect, it } from 'vitest';

/** How many cases each sub-group has, in the order of the suite. */
const sizes: readonly (readonly [prefix: string, count: number])[] = [
  ['1.1', 8],
  ['1.2', 8],
  ['2', 11],
  ['3', 7],
  ['4.1', 5],
  ['4.2', 5],
  ['5', 20],
  ...[3, 4, 2, 4, 5, 11, 4, 2, 4, 3, 5, 8, 5, 10, 1, 3, 5, 5, 5, 7, 8, 34, 7].map((count, i) => [`6.${i + 1}`, count] as const),
  ['7.1', 6],
  ['7.3', 6],
  ['7.5', 1],
  ['7.7', 13],
  ['7.9', 9],
  ['7.13', 2],
  ['9.1', 6],
  ['9.2', 6],
  ['9.3', 9],
  ['9.4', 9],
  ['9.5', 6],
  ['9.6', 6],
  ['9.7', 6],
  ['9.8', 6],
  ['10.1', 1],
  ...[1, 2, 3, 4, 5].map((group) => [`12.${group}`, 18] as const),
  ...[1, 2, 3, 4, 5, 6, 7].map((group) => [`13.${group}`, 18] as const),
];

describe('the cases', () => {
  it('have the 517 ids of the Autobahn suite, in its order', () => {
    const ids = sizes.flatMap(([prefix, count]) => Array.from({ length: count }, (_, i) => `${prefix}.${i + 1}`));
    expect(ids).toHaveLength(517);
    expect(cases.map(({ id }) => id)).toEqual(ids);
    expect(cases.filter(({ deflate }) => deflate === null)).toHaveLength(301);
  });

  it('each name a title, sections, a limit, steps, and something to expect', () => {
    for (const test of cases) {
      expect(test.title, test.id).toMatch(/^[\w"']/);
      expect(test.sections.length, test.id).toBeGreaterThan(0);
      for (const section of test.sections) expect(section).toMatch(/^RFC (6455|7692|3629) \d+(\.\d+)*$/);
      expect(test.limit.ms, test.id).toBeGreaterThan(0);
      expect(test.steps.length, test.id).toBeGreaterThan(0);
      if (Array.isArray(test.expect)) expect(test.expect[0]?.grade, test.id).toBe('OK');
    }
    expect(new Set(cases.map(({ title }) => title)).size).toBeGreaterThan(480);
  });

  it('grade ten as one value, and three not at all', () => {
    const ids = (filter: (test: Case) => boolean): string =>
      cases
        .filter(filter)
        .map(({ id }) => id)
        .join(' ');
    expect(ids((test) => test.schedulingOnly)).toBe('3.2 3.3 3.4 4.1.3 4.1.4 4.1.5 4.2.3 4.2.4 4.2.5 5.15');
    expect(ids((test) => test.expect === 'informational')).toBe('7.1.6 7.13.1 7.13.2');
  });

  it('send 20 messages with compression, a thousand in full', () => {
    for (const { steps } of cases.filter(({ deflate }) => deflate !== null)) {
      expect(steps[0]).toMatchObject({ do: 'exchange', count: 20, fullCount: 1000, compress: true });
    }
  });

  it('can all be explained', () => {
    for (const test of cases) {
      const text = explainCase(test).join('\n');
      expect(text).toContain(test.id);
      expect(text).not.toMatch(/undefined|\[object|NaN/);
    }
  });
});

describe('the extra cases', () => {
  it('have ids of their own, numbered in each group', () => {
    const ids = extraCases.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) {
      expect(id).toMatch(/^F\.\d+\.\d+$/);
      const [, group = '', number = ''] = id.split('.');
      if (Number(number) > 1) expect(ids).toContain(`F.${group}.${Number(number) - 1}`);
    }
    expect(ids.filter((id) => id.endsWith('.1'))).toHaveLength(10);
  });

  it('can all be explained, with sections and a title', () => {
    for (const test of extraCases) {
      expect(test.sections[0], test.id).toMatch(/^RFC (6455|7692) \d/);
      expect(explainCase(test).join('\n')).not.toMatch(/undefined|\[object|NaN/);
    }
  });

  it('name the registry for the close codes that RFC 6455 itself does not list', () => {
    const registered = extraCases.filter(({ title }) => /^valid close code 101[234]$/.test(title));
    expect(registered.map(({ sections }) => sections[0])).toEqual(['RFC 6455 11.7', 'RFC 6455 11.7', 'RFC 6455 11.7']);
  });

  it('say what a refusal is where a handshake has to be refused, and of no echo and no close frame', () => {
    const explained = (id: string): string => explainCase(extraCases.find((test) => test.id === id) ?? assert.fail(id)).join('\n');
    for (const { id } of extraCases.filter(({ opening }) => opening?.expect === 'refused')) {
      expect(explained(id), id).toContain('has to be refused');
      expect(explained(id), id).not.toMatch(/text message|close frame/);
    }
    expect(explained('F.9.10')).toMatch(
      /OK: the server answers with status 400\n.*NON-STRICT: another status of 400 or more, or the end of/,
    );
    expect(explained('F.9.11')).toMatch(/OK: the server answers with a status of 400 or more; a page, or a redirect/);
    expect(explained('F.9.18')).toMatch(/status 400 or 426, with Sec-WebSocket-Version: 13\n.*or a refusal that does not name the version/);
    expect(explained('F.10.9')).toContain('OK: the client ends the connection, and sends nothing more');
    expect(explained('F.9.7')).toMatch(
      /OK: text message: 'otter'.*\n.*NON-STRICT: no message.*\n.*OK: the server answers with a status of 400 or more, or ends the transport/,
    );
  });
});

describe('patterns', () => {
  const pick = (include: string, exclude = ''): string[] =>
    selectCases(cases, parsePatterns(include), parsePatterns(exclude)).map(({ id }) => id);

  it('select whole ids, by star or by name, and leave out', () => {
    expect(pick('2.1')).toEqual(['2.1']);
    expect(pick('1.1.*')).toHaveLength(8);
    expect(pick(' 7.9.* , 2.5 ')).toHaveLength(10);
    expect(pick('7.9.*,2.5')[0]).toBe('2.5');
    expect(pick('', '1.*')).toHaveLength(501);
    expect(pick('*.1.1', '1*')).toEqual(['4.1.1', '6.1.1', '7.1.1', '9.1.1']);
    expect(pick('*')).toHaveLength(517);
  });

  it('take nothing but the star for special', () => {
    for (const pattern of ['1.1', '1?1.1', '(1.1.1)', '1.1.1|2.1', '[12].1', '^2.1$', '2.1 ', '\\d.1'].map((text) => text)) {
      expect(pick(pattern), pattern).toEqual(pattern.trim() === '2.1' ? ['2.1'] : []);
    }
    expect(unmatchedPatterns(cases, ['2.1', '99.*', '2,'])).toEqual(['99.*', '2,']);
  });
});
