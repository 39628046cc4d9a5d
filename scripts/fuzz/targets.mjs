/**
 * What is fuzzed: frames, the handshake, and the whole life of a connection. A target is a function of bytes that throws when something is
 * not as it must be; what the code documents as misuse is not a finding, everything else is.
 */
import { Connection, prepareMessage } from '@ferrywire/core';
import {
  checkFrameHeader,
  createFrameHeader,
  decodeFrameHeader,
  FrameParser,
  parseClosePayload,
  serializeFrame,
  Utf8Validator,
} from '@ferrywire/core/frame';
import { serverDeflate } from '@ferrywire/deflate';
import { pakoCodec } from '@ferrywire/deflate/pako';
import { ClientProtocol, decideUpgrade, formatExtensions, parseExtensions, parseUri, ServerProtocol } from '@ferrywire/handshake';
import { check, cut, fixedRandom, Input, join, show } from './input.mjs';

/** @typedef {(bytes: Uint8Array) => void} Target */

/* ---- frames ---- */

/** @param {Uint8Array} bytes */
function isUtf8(bytes) {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** @param {Uint8Array} bytes @param {import('@ferrywire/core/frame').FrameContext} context */
function judgeEveryPrefix(bytes, context) {
  let verdict = null;
  const header = createFrameHeader();
  for (let end = 0; end <= Math.min(bytes.length, 14); end++) {
    const size = decodeFrameHeader(bytes, 0, end, header);
    check(size <= end, 'a header longer than its bytes');
    const now = checkFrameHeader(header, context);
    check(verdict === null || now === verdict, 'a verdict that changed with more bytes');
    verdict = now;
    if (size > 0) return;
  }
}

/** @type {Target} */
function frames(bytes) {
  const input = new Input(bytes);
  const flags = input.byte();
  const lenient = {
    unmaskedClientFrames: (flags & 1) !== 0,
    maskedServerFrames: (flags & 2) !== 0,
    nonMinimalLength: (flags & 4) !== 0,
    reservedCloseCodes: (flags & 8) !== 0,
  };
  const cuts = [input.byte(), input.byte()];
  const data = input.rest();
  judgeEveryPrefix(data, {
    role: (flags & 16) === 0 ? 'server' : 'client',
    allowedRsv: (flags >> 5) & 4,
    messageOpen: (flags & 64) !== 0,
    maxFrameSize: 100_000,
    lenient,
  });
  const whole = new FrameParser({ maxFrameSize: 10_000 });
  const parsed = [...whole.push(data)];
  const pieces = new FrameParser({ maxFrameSize: 10_000 });
  const again = cut(data, cuts).flatMap((piece) => [...pieces.push(piece)]);
  check(show(parsed) === show(again), 'FrameParser depends on the split');
  check(whole.incomplete === pieces.incomplete && whole.violation === pieces.violation, 'FrameParser ends differently');
  const written = parsed.map(({ header, payload }) =>
    serializeFrame({
      opcode: header.opcode,
      fin: header.fin,
      rsv: header.rsv,
      lengthBytes: header.lengthBytes,
      payload,
      ...(header.masked && { maskKey: header.maskKey }),
    }),
  );
  check(show(join(written)) === show(data.slice(0, join(written).length)), 'a frame that is not written as it was read');
  parseClosePayload(data.slice(0, 125), lenient);
  const validator = new Utf8Validator();
  let bad = -1;
  let at = 0;
  for (const piece of cut(data, cuts)) {
    const found = validator.push(piece, 0, piece.length);
    if (found >= 0) {
      bad = at + found;
      break;
    }
    at += piece.length;
  }
  check((bad < 0 && validator.end()) === isUtf8(data), 'Utf8Validator and TextDecoder differ');
  check(bad < 0 || !canBegin(data.slice(0, bad + 1)), 'Utf8Validator failed too early');
  check(bad <= 0 || canBegin(data.slice(0, bad)), 'Utf8Validator failed too late');
}

/** Can these bytes be the beginning of UTF-8? @param {Uint8Array} bytes */
function canBegin(bytes) {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/* ---- handshake ---- */

const policies = [
  {},
  { subprotocols: ['chat', 'superchat'], requireSubprotocol: true },
  { extensions: [serverDeflate({ codec: pakoCodec })], origins: ['https://example.com', null], hosts: ['example.com', 'localhost:8080'] },
  { path: '/chat', headers: /** @type {const} */ ([['X-Served-By', 'fuzz']]) },
];

/**
 * Everything a protocol says about these pieces of input.
 *
 * @param {ServerProtocol | ClientProtocol} protocol
 * @param {readonly Uint8Array[]} pieces
 */
function wholeLife(protocol, pieces) {
  /** @type {unknown[]} */
  const log = [];
  const output = [];
  const events = () => {
    for (const event of protocol.events()) {
      if (event.type === 'request' && protocol instanceof ServerProtocol) protocol.accept();
      if (event.type === 'open') log.push('open');
      else log.push(event);
    }
  };
  output.push(...protocol.takeOutput().map((chunk) => chunk.slice()));
  for (const piece of pieces) {
    protocol.receiveData(piece);
    events();
  }
  output.push(...protocol.takeOutput().map((chunk) => chunk.slice()));
  log.push(protocol.transport, protocol.nextTimeout());
  protocol.receiveEof();
  events();
  output.push(...protocol.takeOutput().map((chunk) => chunk.slice()));
  log.push(protocol.transport, protocol.nextTimeout());
  return { log, output: join(output) };
}

/** @param {unknown} entry */
const typeOf = (entry) => (typeof entry === 'object' && entry !== null && 'type' in entry ? entry.type : null);
/** As `isUnpackable`: what ends such a connection may be the data, or what came out of it before. @param {readonly unknown[]} log */
function failsToUnpack(log) {
  const end = /** @type {import('@ferrywire/core').EndInfo | undefined} */ (log.find((entry) => typeOf(entry) === 'end'));
  return end?.cause?.code === 'WS_EXTENSION_DATA';
}

/** @type {Target} */
function handshake(bytes) {
  const input = new Input(bytes);
  const mode = input.byte();
  const policy = policies[(mode >> 1) & 3] ?? {};
  const cuts = [input.byte(), input.byte()];
  const data = input.rest();
  const make = () =>
    (mode & 1) === 0
      ? new ServerProtocol({ clock: () => 0, policy })
      : new ClientProtocol({ clock: () => 0, random: fixedRandom(), url: 'ws://example.com/chat', subprotocols: ['chat', 'superchat'] });
  const whole = wholeLife(make(), [data]);
  const split = wholeLife(make(), cut(data, cuts));
  if (failsToUnpack(whole.log) || failsToUnpack(split.log)) {
    const before = (/** @type {readonly unknown[]} */ log) => show(log.filter((entry) => typeOf(entry) !== 'end'));
    check(before(whole.log) === before(split.log), `the split shows before bad data: ${show(whole.log)} ${show(split.log)}`);
  } else {
    check(show(whole.log) === show(split.log), `events depend on the split: ${show(whole.log)} ${show(split.log)}`);
    check(show(whole.output) === show(split.output), 'output depends on the split');
  }

  const text = new TextDecoder('latin1').decode(data);
  const [method = '', target = '', ...lines] = text.split('\n');
  const headers = lines.map((line) => /** @type {const} */ ([line.split(':')[0] ?? '', line.slice(line.indexOf(':') + 1)]));
  for (const httpVersion of /** @type {const} */ (['1.1', '2'])) {
    decideUpgrade(
      { method, target, httpVersion, headers, ...((mode & 128) !== 0 && { protocol: 'websocket', authority: target }) },
      policy,
    );
  }
  const offers = parseExtensions(text);
  if (offers !== null) {
    const once = formatExtensions(offers);
    check(show(parseExtensions(once)) === show(offers), 'extensions that are not read as they were written');
  }
  try {
    parseUri(text);
  } catch (error) {
    check(error instanceof SyntaxError, `parseUri threw ${String(error)}`);
  }
}

/* ---- the whole life of a connection ---- */

/** @param {Input} input @returns {import('@ferrywire/core').ConnectionOptions} */
function configuration(input) {
  const flags = input.byte();
  return {
    role: (flags & 1) === 0 ? 'server' : 'client',
    clock: () => 0,
    delivery: /** @type {const} */ (['message', 'chunk', 'span', 'message'])[(flags >> 1) & 3] ?? 'message',
    input: /** @type {const} */ (['shared', 'reused', 'transferred', 'shared'])[(flags >> 3) & 3] ?? 'shared',
    autoPong: (flags & 32) === 0,
    autoClose: (flags & 64) === 0,
    limits: { maxMessageSize: 1000, maxFragments: 20, maxPendingPongs: 4 },
    random: fixedRandom(),
    ...((flags & 128) !== 0 && { extensions: [deflateExtension()] }),
  };
}
function deflateExtension() {
  const accepted = serverDeflate({ codec: pakoCodec, threshold: 0 }).accept([], []);
  if (accepted === null) throw new Error('no extension');
  return accepted.extension;
}

/** Watches a connection from outside: one end, nothing after it, nothing illegal written. */
class Witness {
  /** @param {import('@ferrywire/core').ConnectionOptions} options @param {boolean} push */
  constructor(options, push) {
    /** @type {unknown[]} */
    this.log = [];
    this.ends = 0;
    this.parser = new FrameParser();
    this.messageOpen = false;
    this.closed = false;
    this.now = 0;
    this.rsv = options.extensions === undefined ? 0 : 4;
    /** @type {Uint8Array[]} */
    this.output = [];
    const say = (/** @type {unknown} */ entry) => {
      check(this.ends === 0, `an event after the end: ${show(entry)}`);
      this.log.push(entry);
    };
    const sink = {
      onText: (/** @type {string} */ text) => say(['text', text]),
      onBinary: (/** @type {Uint8Array} */ data) => say(['binary', data.slice()]),
      onMessageStart: (/** @type {string} */ kind) => say(['start', kind]),
      onTextChunk: (/** @type {string} */ text) => say(['piece', text]),
      onSpan: (/** @type {Uint8Array} */ buffer, /** @type {number} */ start, /** @type {number} */ end) =>
        say(['span', Uint8Array.prototype.slice.call(buffer, start, end)]),
      onMessageEnd: (/** @type {string} */ kind) => say(['finish', kind]),
      onPing: (/** @type {Uint8Array} */ data) => say(['ping', data.slice()]),
      onPong: (/** @type {Uint8Array} */ data) => say(['pong', data.slice()]),
      onClose: (/** @type {number} */ code, /** @type {string} */ reason) => say(['close', code, reason]),
      onEnd: (/** @type {import('@ferrywire/core').EndInfo} */ info) => {
        say(['end', info]);
        this.ends++;
      },
    };
    this.connection = new Connection({ ...options, clock: () => this.now, ...(push && { sink }) });
    this.target = push || options.delivery !== 'span' ? null : new Uint8Array(64);
    this.push = push;
    this.say = say;
  }

  pull() {
    if (this.push) return;
    for (let count = 0; count < 10_000; count++) {
      const event = this.target === null ? this.connection.nextEvent() : this.connection.readInto(this.target);
      if (event === null) return;
      if (event.type === 'data') this.say(['span', this.target?.slice(0, event.count)]);
      else {
        this.say(event);
        if (event.type === 'end') this.ends++;
      }
    }
    throw new Error('events without end');
  }

  take() {
    const { connection } = this;
    for (const chunk of connection.takeOutput()) {
      this.output.push(chunk.slice());
      for (const { header, payload } of this.parser.push(chunk)) this.#judge(header, payload);
      connection.recycleOutput(chunk);
    }
    check(connection.bufferedAmount === 0, 'bufferedAmount after everything was taken');
  }
  /** @param {Readonly<import('@ferrywire/core/frame').FrameHeader>} header @param {Uint8Array} payload */
  #judge(header, payload) {
    check(!this.closed, 'a frame after our close frame');
    const role = this.connection.role === 'server' ? 'client' : 'server';
    const wrong = checkFrameHeader(header, { role, allowedRsv: this.rsv, messageOpen: this.messageOpen, maxFrameSize: 1e9 });
    check(wrong === null, `an illegal frame was written: ${wrong?.code}`);
    if (header.opcode < 8) this.messageOpen = !header.fin;
    if (header.opcode === 8) {
      this.closed = true;
      const info = parseClosePayload(payload);
      check(!('section' in info), 'an illegal close payload was written');
    }
  }
}

/** Misuse is documented; anything else is a finding. @param {() => void} call */
function attempt(call) {
  try {
    call();
  } catch (error) {
    const code = /** @type {{ code?: unknown }} */ (error).code;
    const documented = error instanceof RangeError || (typeof code === 'string' && code.startsWith('WS_MISUSE_'));
    if (!documented) throw error;
  }
}

/** @type {readonly ((witness: Witness, input: Input) => void)[]} */
const commands = [
  ({ connection }, input) => connection.receiveData(input.take(input.byte())),
  ({ connection }, input) =>
    connection.receiveData(
      serializeFrame({ opcode: input.byte() & 15, payload: input.take(input.byte() & 31), maskKey: 0x01020304, fin: input.bool() }),
    ),
  ({ connection }, input) =>
    connection.receiveData(
      serializeFrame({ opcode: input.pick([0, 1, 2, 8, 9, 10]), payload: input.take(input.byte() & 31), fin: input.bool() }),
    ),
  ({ connection }, input) => attempt(() => connection.send(new TextDecoder().decode(input.take(input.byte() & 63)))),
  ({ connection }, input) => attempt(() => connection.sendBinary(input.take(input.byte()), { fin: input.bool() })),
  ({ connection }, input) => attempt(() => connection.sendContinuation(input.take(input.byte() & 63), input.bool())),
  ({ connection }, input) => attempt(() => connection.ping(input.take(input.byte()))),
  ({ connection }, input) => attempt(() => connection.pong(input.take(input.byte()))),
  ({ connection }, input) => attempt(() => connection.close(input.pick([1000, 1001, 1005, 3000, 4999, 999]), input.bool() ? 'bye' : '')),
  ({ connection }) => attempt(() => connection.fail(1011, 'fuzz')),
  ({ connection }, input) => attempt(() => connection.sendPrepared(prepareMessage(input.take(input.byte() & 63)))),
  ({ connection }, input) =>
    attempt(() => {
      const kind = input.pick(/** @type {const} */ (['text', 'binary']));
      const data = input.take(input.byte() & 15);
      const writer = connection.startMessage(kind);
      writer.write(kind === 'text' ? new TextDecoder().decode(data) : data);
      writer.end();
    }),
  ({ connection }) => connection.pause(),
  ({ connection }) => connection.resume(),
  (witness) => witness.take(),
  (witness) => witness.pull(),
  (witness, input) => {
    witness.now += input.byte() * 200;
    witness.connection.handleTimeout();
  },
  ({ connection }) => connection.outputDrained?.(),
  ({ connection }, input) => (input.byte() === 7 ? connection.receiveEof() : undefined),
  ({ connection }, input) => (input.byte() === 7 ? connection.receiveError(new Error('reset')) : undefined),
  ({ connection }, input) => (input.byte() === 7 ? connection.abort() : undefined),
];

/** @type {Target} */
function life(bytes) {
  const input = new Input(bytes);
  const witness = new Witness(configuration(input), input.bool());
  for (let steps = 0; steps < 200 && input.left > 0; steps++) {
    const command = input.pick(commands);
    command(witness, input);
    check((witness.connection.nextTimeout() ?? 0) < Number.POSITIVE_INFINITY, 'a deadline at infinity');
  }
  witness.connection.resume();
  witness.pull();
  witness.take();
  witness.connection.receiveEof();
  witness.connection.resume();
  witness.pull();
  for (let turns = 0; witness.ends === 0 && turns < 50; turns++) {
    witness.now += 60_000;
    witness.connection.handleTimeout();
    witness.pull();
  }
  check(witness.ends === 1, `${witness.ends} end events`);
  check(witness.connection.nextTimeout() === null, 'a deadline after the end');
  check(witness.connection.state === 'closed', 'not closed after the end');
  witness.take();
}

/** Whole or in pieces: the same events and the same output. @type {Target} */
function split(bytes) {
  const input = new Input(bytes);
  const flags = input.byte();
  const cuts = [input.byte(), input.byte(), input.byte()];
  const rest = input.rest();
  const run = (/** @type {readonly Uint8Array[]} */ pieces) => {
    const witness = new Witness(
      { ...configuration(new Input(Uint8Array.of(flags))), limits: { maxMessageSize: 1000, maxFragments: 20 } },
      true,
    );
    for (const piece of pieces) witness.connection.receiveData(piece.slice());
    witness.take();
    witness.connection.receiveEof();
    witness.take();
    return { log: joined(witness.log), output: join(witness.output), ends: witness.ends };
  };
  const whole = run([rest]);
  const pieces = run(cut(rest, cuts));
  if (isUnpackable(whole.log) || isUnpackable(pieces.log)) {
    check(show(settled(whole.log)) === show(settled(pieces.log)), `the split shows before bad data:\n${show(whole)}\n${show(pieces)}`);
  } else check(show(whole) === show(pieces), `the split shows:\n${show(whole)}\n${show(pieces)}`);
}

/**
 * zlib does not say how much it decoded of the step in which it failed, so of a message that cannot be decompressed what comes before the
 * bad byte may be told or not. What came before that message may not differ.
 *
 * @param {readonly unknown[][]} log
 */
function isUnpackable(log) {
  const info = /** @type {import('@ferrywire/core').EndInfo | undefined} */ (log.at(-1)?.[1]);
  return info?.cause?.code === 'WS_EXTENSION_DATA';
}
/** @param {readonly unknown[][]} log */
function settled(log) {
  const unfinished = log.map(([name]) => name).lastIndexOf('start');
  const finished = log.map(([name]) => name).lastIndexOf('finish');
  const kept = unfinished > finished ? log.slice(0, unfinished) : log;
  return kept.filter(([name]) => name !== 'end');
}

/** Pieces of a message that stand next to each other are one. @param {readonly unknown[]} log */
function joined(log) {
  /** @type {unknown[][]} */
  const result = [];
  for (const entry of log) {
    if (!Array.isArray(entry)) continue;
    const last = result.at(-1);
    if (last !== undefined && last[0] === entry[0] && entry[0] === 'piece') last[1] = `${last[1]}${entry[1]}`;
    else if (last !== undefined && last[0] === entry[0] && entry[0] === 'span') {
      last[1] = join([/** @type {Uint8Array} */ (last[1]), /** @type {Uint8Array} */ (entry[1])]);
    } else result.push([...entry]);
  }
  return result;
}

/** @type {Readonly<Record<string, Target>>} */
export const targets = { frames, handshake, life, split };
