/**
 * Every handshake case of the project's data, required and recommended, in the roles it names: whole, byte by byte, and in push mode. Cases that
 * are informational are run too and must end in one of their outcomes.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { FrameParser } from '@ferrywire/core/frame';
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import {
  acceptKey,
  ClientProtocol,
  type ClientProtocolOptions,
  createUpgrade,
  parseExtensions,
  resolveWebSocketUrl,
  ServerProtocol,
  type ServerProtocolOptions,
} from '@ferrywire/handshake';
import { describe, expect, test } from 'vitest';
import { bytes, parseResponse, text, VirtualClock } from './support.ts';

type Part = string | readonly [string, number] | { readonly each: string; readonly to: number };
interface Step {
  readonly write?: readonly Part[];
  readonly times?: number;
  readonly every?: number;
  readonly wait?: number;
  readonly end?: boolean;
  readonly reset?: boolean;
  readonly untilClosed?: number;
}
interface ExtensionRule {
  readonly accepted: boolean | 'optional';
  readonly must?: readonly string[];
  readonly mustNot?: readonly string[];
  readonly max?: Readonly<Record<string, number>>;
  readonly once?: boolean;
}
interface Outcome {
  readonly kind: string;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly absent?: readonly string[];
  readonly extensions?: ExtensionRule | string;
  readonly echo?: readonly string[];
  readonly messages?: readonly string[];
  readonly protocol?: string;
  readonly thenClose?: number;
}
interface Case {
  readonly id: string;
  readonly level: string;
  readonly setup: {
    readonly subprotocols?: readonly string[];
    readonly deflate?: boolean;
    readonly origins?: readonly string[];
    readonly path?: string;
    readonly protocols?: readonly string[];
    readonly offer?: { readonly server_max_window_bits?: number; readonly client_max_window_bits?: number | true };
  };
  readonly steps: readonly Step[];
  readonly outcomes: readonly Outcome[];
}
interface RequestCase {
  readonly id: string;
  readonly level: string;
  readonly setup: { readonly url: string; readonly protocols?: readonly string[]; readonly connections?: number };
  readonly sends: Readonly<Record<string, unknown>>;
}
const file = new URL('../../../conformance/data/handshake-cases.json', import.meta.url);
const data = JSON.parse(readFileSync(file, 'utf8')) as { server: Case[]; client: Case[]; request: RequestCase[] };

type Feeding = 'whole' | 'byte by byte' | 'push mode';
const feedings: readonly Feeding[] = ['whole', 'byte by byte', 'push mode'];
/** Beyond this, byte by byte shows nothing new; the rest of a long write goes in pieces of 61 bytes. */
const BYTEWISE = 40_000;

function assemble(parts: readonly Part[]): string {
  return parts
    .map((part) =>
      typeof part === 'string'
        ? part
        : 'each' in part
          ? Array.from({ length: part.to }, (_, n) => part.each.replace('{n}', String(n))).join('')
          : part[0].repeat(part[1]),
    )
    .join('');
}

function* pieces(content: Uint8Array, feeding: Feeding): Iterable<Uint8Array> {
  if (feeding !== 'byte by byte') {
    yield content;
    return;
  }
  const bytewise = Math.min(content.length, BYTEWISE);
  for (let i = 0; i < bytewise; i++) yield content.slice(i, i + 1);
  for (let i = bytewise; i < content.length; i += 61) yield content.slice(i, i + 61);
}

interface Subject {
  readonly protocol: ServerProtocol | ClientProtocol;
  readonly messages: string[];
  opened: boolean;
  refused: boolean;
  /** After each input: takes events. */
  turn(): void;
}

function serverSubject(options: ServerProtocolOptions, feeding: Feeding): Subject {
  const subject = { messages: [] as string[], opened: false, refused: false };
  if (feeding === 'push mode') {
    const protocol: ServerProtocol = new ServerProtocol({
      ...options,
      sink: {
        onOpen: () => {
          subject.opened = true;
        },
        onRefused: () => {
          subject.refused = true;
        },
        onText: (message) => {
          subject.messages.push(message);
          protocol.send(message);
        },
      },
    });
    return Object.assign(subject, { protocol, turn: () => undefined });
  }
  const protocol = new ServerProtocol(options);
  const turn = (): void => {
    for (const event of protocol.events()) {
      if (event.type === 'request') protocol.accept();
      else if (event.type === 'open') subject.opened = true;
      else if (event.type === 'refused') subject.refused = true;
      else if (event.type === 'message' && event.kind === 'text') {
        subject.messages.push(event.data);
        protocol.send(event.data);
      }
    }
  };
  return Object.assign(subject, { protocol, turn });
}

function clientSubject(options: ClientProtocolOptions, feeding: Feeding): Subject {
  const subject = { messages: [] as string[], opened: false, refused: false };
  if (feeding === 'push mode') {
    const sink = {
      onOpen: () => {
        subject.opened = true;
      },
      onRefused: () => {
        subject.refused = true;
      },
      onText: (message: string) => void subject.messages.push(message),
    };
    return Object.assign(subject, { protocol: new ClientProtocol({ ...options, sink }), turn: () => undefined });
  }
  const protocol = new ClientProtocol(options);
  const turn = (): void => {
    for (const event of protocol.events()) {
      if (event.type === 'open') subject.opened = true;
      else if (event.type === 'refused') subject.refused = true;
      else if (event.type === 'message' && event.kind === 'text') subject.messages.push(event.data);
    }
  };
  return Object.assign(subject, { protocol, turn });
}

/** Runs the peer's side. Returns what the subject wrote. */
function play(subject: Subject, steps: readonly Step[], clock: VirtualClock, feeding: Feeding, fill: (content: string) => string): string {
  const { protocol } = subject;
  let output = '';
  const settle = (): void => {
    subject.turn();
    output += text(protocol.takeOutput());
  };
  const waitFor = (ms: number): void => {
    const until = clock.now + ms;
    for (let due = protocol.nextTimeout(); due !== null && due <= until; due = protocol.nextTimeout()) {
      clock.now = Math.max(clock.now, due);
      protocol.handleTimeout();
      settle();
    }
    clock.now = until;
  };
  settle();
  for (const step of steps) {
    if (step.write !== undefined) {
      const content = bytes(fill(assemble(step.write)));
      for (let time = 0; time < (step.times ?? 1) && protocol.transport !== 'abort'; time++) {
        for (const piece of pieces(content, content.length * (step.times ?? 1) > 2_000_000 ? 'whole' : feeding)) {
          protocol.receiveData(piece);
          settle();
        }
        if (step.every !== undefined) waitFor(step.every);
      }
    } else if (step.wait !== undefined) waitFor(step.wait);
    else if (step.untilClosed !== undefined) waitFor(step.untilClosed);
    else if (step.end === true) protocol.receiveEof();
    else if (step.reset === true) protocol.receiveError(new Error('reset'));
    settle();
  }
  return output;
}

/** Code of the first close frame among frames; -1 when there is none. */
function closeCode(frames: Uint8Array): number {
  for (const { header, payload } of new FrameParser().push(frames)) {
    if (header.opcode === 8) return ((payload[0] ?? 0) << 8) | (payload[1] ?? 0);
  }
  return -1;
}

function judgeExtensions(rule: ExtensionRule, field: string | undefined): string | null {
  if (field === undefined) return rule.accepted === true ? 'no extension was accepted' : null;
  if (rule.accepted === false) return `accepted ${field}`;
  const answers = parseExtensions(field);
  if (answers === null || answers.length === 0) return `answered ${field}`;
  if (rule.once === true && answers.length !== 1) return `answered more than once: ${field}`;
  const params = new Map(answers[0]?.params);
  for (const name of rule.must ?? []) if (!params.has(name)) return `lacks ${name}`;
  for (const name of rule.mustNot ?? []) if (params.has(name)) return `has ${name}`;
  for (const [name, max] of Object.entries(rule.max ?? {})) {
    const value = params.get(name);
    if (value !== undefined && (value === true || Number(value) > max)) return `${name}=${String(value)}`;
  }
  return null;
}

function judgeServer(outcome: Outcome, subject: Subject, output: string): string | null {
  const { status, fields, body } = parseResponse(output);
  if (outcome.kind === 'pending') return output === '' && !subject.refused ? null : 'answered';
  if (outcome.kind !== 'accept') {
    if (status === 101 || subject.opened) return 'accepted';
    if (!subject.refused || subject.protocol.transport === 'open') return 'left open';
    if (outcome.kind === 'reject' && !(status >= 400 && status <= 499)) return `status ${status}`;
  } else {
    if (status !== 101 || !subject.opened) return `status ${status}`;
    if (fields.get('sec-websocket-accept') !== outcome.accept) return 'another accept value';
  }
  for (const [name, wanted] of Object.entries(outcome.headers ?? {})) {
    const value = fields.get(name) ?? '';
    const words = wanted.startsWith('one of ') ? wanted.slice(7).split(' ') : [wanted.replace(/^contains /, '')];
    if (!words.some((word) => value.toLowerCase().includes(word))) return `${name}: ${value}`;
  }
  for (const name of outcome.absent ?? []) if (fields.has(name)) return `has ${name}`;
  if (typeof outcome.extensions === 'object') {
    const wrong = judgeExtensions(outcome.extensions, fields.get('sec-websocket-extensions'));
    if (wrong !== null) return wrong;
  }
  if (outcome.echo !== undefined && JSON.stringify(outcome.echo) !== JSON.stringify(subject.messages))
    return `echoed ${JSON.stringify(subject.messages)}`;
  if (outcome.thenClose !== undefined && closeCode(bytes(body)) !== outcome.thenClose) return `closed with ${closeCode(bytes(body))}`;
  return null;
}

function judgeClient(outcome: Outcome, subject: Subject, output: string): string | null {
  const { protocol } = subject;
  if (outcome.kind === 'pending') return subject.opened || subject.refused ? 'decided' : null;
  if (outcome.kind === 'fail') {
    if (subject.opened || protocol.connection !== null) return 'opened';
    if (!subject.refused || protocol.transport === 'open') return 'left open';
    // Nothing but the request was ever sent.
    return output.endsWith('\r\n\r\n') && output.indexOf('\r\n\r\n') === output.length - 4 ? null : 'sent more than the request';
  }
  if (!subject.opened || protocol.connection === null) return 'not opened';
  if ((protocol.connection.subprotocol ?? '') !== (outcome.protocol ?? '')) return `protocol ${String(protocol.connection.subprotocol)}`;
  if (outcome.extensions !== undefined && outcome.extensions !== '*') {
    const named = protocol.connection.extensions.map(({ name }) => name).join(', ');
    if (named !== (parseExtensions(String(outcome.extensions)) ?? []).map(({ name }) => name).join(', ')) return `extensions ${named}`;
  }
  if (outcome.messages !== undefined && JSON.stringify(outcome.messages) !== JSON.stringify(subject.messages))
    return `messages ${JSON.stringify(subject.messages)}`;
  if (outcome.thenClose !== undefined) {
    const code = closeCode(bytes(output.slice(output.indexOf('\r\n\r\n') + 4)));
    if (code !== outcome.thenClose) return `closed with ${code}`;
  }
  return null;
}

/** Null when one of the outcomes came about. */
function firstFit(outcomes: readonly Outcome[], judge: (outcome: Outcome) => string | null): string | null {
  const reasons = outcomes.map(judge);
  return reasons.includes(null) ? null : reasons.join(' / ');
}

function runServer(item: Case, feeding: Feeding): string | null {
  const clock = new VirtualClock();
  const { subprotocols, deflate, origins, path } = item.setup;
  const policy = {
    ...(subprotocols === undefined ? {} : { subprotocols }),
    ...(deflate === true ? { extensions: [serverDeflate()] } : {}),
    ...(origins === undefined ? {} : { origins }),
    ...(path === undefined ? {} : { path }),
  };
  const subject = serverSubject({ clock: clock.read, policy }, feeding);
  const output = play(subject, item.steps, clock, feeding, (content) => content);
  return firstFit(item.outcomes, (outcome) => judgeServer(outcome, subject, output));
}

function accepts(key: string, form: string): string {
  const value = acceptKey(key);
  const sha1 = (content: string | Buffer): Buffer => createHash('sha1').update(content).digest();
  const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  if (form === 'lower') return value.toLowerCase();
  if (form === 'nopad') return value.replaceAll('=', '');
  if (form === 'space') return `${value.slice(0, 10)} ${value.slice(10)}`;
  if (form === 'hex') return sha1(key + guid).toString('hex');
  if (form === 'decodedkey') return sha1(Buffer.concat([Buffer.from(key, 'base64'), Buffer.from(guid)])).toString('base64');
  if (form === 'noguid') return sha1(key).toString('base64');
  return value;
}

function runClient(item: Case, feeding: Feeding): string | null {
  const clock = new VirtualClock();
  const { protocols, offer } = item.setup;
  const options = {
    ...(protocols === undefined ? {} : { subprotocols: protocols }),
    ...(offer === undefined
      ? {}
      : {
          extensions: [
            clientDeflate({
              // Only what the case names is offered.
              serverNoContextTakeover: false,
              clientNoContextTakeover: false,
              ...(offer.server_max_window_bits === undefined ? {} : { serverMaxWindowBits: offer.server_max_window_bits }),
              ...(offer.client_max_window_bits === undefined ? {} : { clientMaxWindowBits: offer.client_max_window_bits }),
            }),
          ],
        }),
  };
  let request = '';
  const subject = clientSubject({ clock: clock.read, url: 'ws://h.example/', ...options, onTrace: () => undefined }, feeding);
  // The key is known once the request was written, which is before the first step.
  const { protocol } = subject;
  const take = protocol.takeOutput.bind(protocol);
  protocol.takeOutput = () => {
    const chunks = take();
    request ||= text(chunks);
    return chunks;
  };
  const fill = (content: string): string => {
    const key = /Sec-WebSocket-Key: (\S+)/.exec(request)?.[1] ?? '';
    return content
      .replaceAll('{{key}}', key)
      .replaceAll(/\{\{accept(?::([a-z]+))?\}\}/g, (_, form: string | undefined) => accepts(key, form ?? ''));
  };
  const output = play(subject, item.steps, clock, feeding, fill);
  return firstFit(item.outcomes, (outcome) => judgeClient(outcome, subject, output));
}

function runRequest(item: RequestCase): string | null {
  const make = (): { url: string; request: string } => {
    const { url, uri } = resolveWebSocketUrl(item.setup.url.replace('{port}', '8080'));
    const { request } = createUpgrade({ url: uri, ...(item.setup.protocols === undefined ? {} : { subprotocols: item.setup.protocols }) });
    const protocol = new ClientProtocol({
      clock: () => 0,
      url: uri,
      ...(item.setup.protocols === undefined ? {} : { subprotocols: item.setup.protocols }),
    });
    const sent = text(protocol.takeOutput());
    if (!sent.startsWith(`${request.method} ${request.target} HTTP/1.1\r\n`)) throw new Error('the two forms differ');
    return { url, request: sent };
  };
  const { sends } = item;
  if (typeof sends.throws === 'string') {
    try {
      make();
    } catch (error) {
      return (error as Error).name === sends.throws ? null : `threw ${String(error)}`;
    }
    return 'did not throw';
  }
  const { url, request } = make();
  const [line = '', ...rest] = request.split('\r\n');
  const [method, target, version] = line.split(' ');
  const fields = rest.slice(0, -2).map((field): [string, string] => {
    const colon = field.indexOf(': ');
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 2)];
  });
  const all = (name: string): string[] => fields.filter(([field]) => field === name).map(([, value]) => value);
  const port = (value: unknown): string => String(value).replace('{port}', '8080');
  const checks: Record<string, () => boolean> = {
    method: () => method === sends.method,
    target: () => target === sends.target,
    version: () => version === sends.version,
    host: () => all('host').join() === port(sends.host),
    upgrade: () => all('upgrade').join() === sends.upgrade,
    connectionToken: () => all('connection').join().toLowerCase() === sends.connectionToken,
    wsVersion: () => all('sec-websocket-version').join() === sends.wsVersion,
    keyDecodesTo: () => Buffer.from(all('sec-websocket-key').join(), 'base64').length === sends.keyDecodesTo,
    apiUrl: () => url === port(sends.apiUrl),
    protocolList: () =>
      all('sec-websocket-protocol').length === 1 && all('sec-websocket-protocol').join() === (sends.protocolList as string[]).join(', '),
    absent: () => (sends.absent as string[]).every((name) => all(name).length === 0),
    once: () => (sends.once as string[]).every((name) => all(name).length === 1),
    distinctKeys: () => make().request !== request,
  };
  const wrong = Object.keys(sends).filter((name) => checks[name]?.() !== true);
  return wrong.length === 0 ? null : wrong.join();
}

describe('handshake cases', () => {
  let passed = 0;
  let total = 0;
  const report = (id: string, results: readonly (readonly [string, string | null])[]): string[] => {
    total++;
    const wrong = results.filter(([, result]) => result !== null).map(([how, result]) => `${id} ${how}: ${String(result)}`);
    if (wrong.length === 0) passed++;
    return wrong;
  };
  test('servers', () => {
    expect(
      data.server.flatMap((item) =>
        report(
          item.id,
          feedings.map((feeding) => [feeding, runServer(item, feeding)]),
        ),
      ),
    ).toEqual([]);
  });
  test('clients', () => {
    expect(
      data.client.flatMap((item) =>
        report(
          item.id,
          feedings.map((feeding) => [feeding, runClient(item, feeding)]),
        ),
      ),
    ).toEqual([]);
  });
  test('requests', () => {
    expect(data.request.flatMap((item) => report(item.id, [['sent', runRequest(item)]]))).toEqual([]);
  });
  test('all of them ran', () => {
    console.log(`handshake-cases: ${passed} of ${total}`);
    expect([passed, total]).toEqual([372, 372]);
  });
});
