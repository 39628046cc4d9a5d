/** URIs: the project's URI cases, and what they do not reach (RFC 6455 section 3, WHATWG URL). */
import { readFileSync } from 'node:fs';
import { createUpgrade, parseUri, resolveWebSocketUrl } from '@ferrywire/handshake';
import { expect, test } from 'vitest';

interface UriCase {
  readonly id: string;
  readonly level: string;
  readonly input: string;
  readonly base: string;
  readonly throws?: string;
  readonly url?: string;
  readonly secure?: boolean;
  readonly host?: string;
  readonly port?: number;
  readonly hostHeader?: string;
  readonly resource?: string;
}
const file = new URL('../../../conformance/data/uri-cases.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: UriCase[] };

function nameOfThrown(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).name;
  }
  return 'nothing';
}

/** URL parsers skip leading spaces and any tab or line end, so the scheme is looked for without them. */
const isAbsolute = (input: string): boolean => /^wss?:/i.test(input.trim().replaceAll(/[\t\r\n]/g, ''));

function judge(item: UriCase): string[] {
  const wrong: string[] = [];
  const check = (what: string, actual: unknown, wanted: unknown): void => {
    if (actual !== wanted) wrong.push(`${item.id} ${what}: ${String(actual)} instead of ${String(wanted)}`);
  };
  if (item.throws !== undefined) {
    check(
      'constructor',
      nameOfThrown(() => resolveWebSocketUrl(item.input, item.base)),
      item.throws,
    );
    if (isAbsolute(item.input))
      check(
        'parseUri',
        nameOfThrown(() => parseUri(item.input)),
        item.throws,
      );
    return wrong;
  }
  const { url, uri } = resolveWebSocketUrl(item.input, item.base);
  check('url', url, item.url);
  for (const parsed of isAbsolute(item.input) ? [uri, parseUri(item.input)] : [uri]) {
    check('secure', parsed.secure, item.secure);
    check('host', parsed.host, item.host);
    check('port', parsed.port, item.port);
    check('resource', parsed.resource, item.resource);
    const { request } = createUpgrade({ url: parsed });
    check('target', request.target, item.resource);
    check('Host', new Map(request.headers).get('Host'), item.hostHeader);
  }
  return wrong;
}

test('every URI case', () => {
  const wrong = cases.map(judge);
  console.log(`uri-cases: ${wrong.filter((list) => list.length === 0).length} of ${cases.length}`);
  expect(wrong.flat()).toEqual([]);
  expect(cases).toHaveLength(75);
});

test('user info is decoded and never part of host or target', () => {
  expect(parseUri('ws://us%40er:p%3Aw@h.example/')).toEqual({
    secure: false,
    host: 'h.example',
    port: 80,
    resource: '/',
    userInfo: ['us@er', 'p:w'],
  });
  expect(parseUri('ws://user@h.example/').userInfo).toEqual(['user', '']);
  expect(parseUri('ws://%zz@h.example/').userInfo).toEqual(['%zz', '']);
  // URL parsers leave a percent sign alone that escapes nothing; what stands beside it is decoded all the same.
  expect(parseUri('ws://a%40b:100%%C3%BC@h.example/').userInfo).toEqual(['a@b', '100%ü']);
  expect(parseUri('ws://%ff:%40%zz%e2%82%ac@h.example/').userInfo).toEqual(['%ff', '@%zz€']);
});

test('only ws and wss are WebSocket URIs', () => {
  for (const input of ['http://h/', 'https://h/', '/path', '', 'h.example', 'WSX://h/', 'ws+unix:/x'])
    expect(nameOfThrown(() => parseUri(input))).toBe('SyntaxError');
});
