/** Why a mutant of the core survives: each entry names a file, where it matters a function, and parts of the changes that it is about. */

const SIZE = 'A size of memory, or a threshold between two ways to the same result: what comes out is the same on both sides.';
const FASTER = 'The faster of two ways to the same result is not taken, or taken where the other one would be.';
const GUARD = 'What this keeps out is kept out once more further on.';
const FIRST = 'A first value that is written over before it is read.';
const KEPT = 'How long memory is kept, which only the tests of memory see.';
const NUMBERS = 'The values that differ are let in, or kept out, by the other half of the condition.';

/** @typedef {{ file: string, where?: string, texts: readonly string[], reason: string }} Reason `texts`: each is a part of changes. */
/** @type {readonly Reason[]} */
const reasons = [
  { file: 'assembly.js', where: '', texts: ['512 →', '1 << 20 →', '1 →', '20 →'], reason: SIZE },
  { file: 'assembly.js', where: '', texts: ['0 →'], reason: FIRST },
  {
    file: 'assembly.js',
    where: 'reserve',
    texts: ['this.size + wanted', '2 →'],
    reason: 'Where memory for the whole is not made here, `join` makes it.',
  },
  { file: 'assembly.js', where: 'join', texts: ['this.#used === current.length → false'], reason: FASTER },
  { file: 'assembly.js', where: 'join', texts: ['only.length * 2', '2 →'], reason: KEPT },
  {
    file: 'close.js',
    where: 'parseClosePayload',
    texts: ['code >= 1000 → >', '1000 →', '2999 →'],
    reason: 'Code 1000, and code 3000, may be on the wire without leniency too.',
  },
  {
    file: 'close.js',
    where: 'checkPartialClosePayload',
    texts: ['code >= 1000 → >', '1000 →', '2999 →'],
    reason: 'Code 1000, and code 3000, may be on the wire without leniency too.',
  },
  { file: 'close.js', where: 'serializeClosePayload', texts: ["reason === undefined || reason === '' →"], reason: FASTER },
  { file: 'close.js', where: 'truncateReason', texts: ['MAX_REASON_SIZE', '3 →'], reason: FASTER },
  { file: 'connection.js', where: 'constructor', texts: ['extensions.length > 0 → >=', 'transforms → true'], reason: FASTER },
  { file: 'connection.js', where: 'constructor', texts: ['residents === null → false', 'makeResidents'], reason: FASTER },
  { file: 'connection.js', where: 'receiveData', texts: ['timers.listens → true'], reason: GUARD },
  { file: 'connection.js', where: 'handleTimeout', texts: ['this.#life.terminal → false', 'sender.waits → true'], reason: GUARD },
  { file: 'connection.js', where: 'wake', texts: ['this.#life.terminal → false'], reason: GUARD },
  { file: 'connection.js', where: 'nextTimeout', texts: ['this.#life.terminal → false'], reason: GUARD },
  { file: 'connection.js', where: 'outputStalled', texts: ['!this.#life.terminal → true'], reason: GUARD },
  { file: 'connection.js', where: 'outputDrained', texts: ['!this.#life.terminal → true'], reason: GUARD },
  { file: 'connection.js', where: 'recycleInput', texts: ['!this.#life.terminal → true'], reason: KEPT },
  { file: 'connection.js', where: '#parse', texts: ['rest < bytes.length', '!held → true'], reason: GUARD },
  { file: 'connection.js', where: '#after', texts: ['!this.#busy → true'], reason: GUARD },
  { file: 'connection.js', where: '#read', texts: ['!receiver.stop && !receiver.hungry', 'false → true', 'true → false'], reason: FASTER },
  { file: 'connection.js', where: '#settle', texts: ['!life.parses → false', 'this.#held = null', 'this.#release()'], reason: KEPT },
  { file: 'connection.js', where: '#settle', texts: ['this.#over = null'], reason: GUARD },
  { file: 'connection.js', where: '#release', texts: ['this.#held = null', 'payload.drop()'], reason: KEPT },
  { file: 'connection.js', where: 'resume', texts: ['this.#receiver.hungry → false'], reason: FASTER },
  { file: 'connection.js', where: 'sendContinuation', texts: ['checkData'], reason: GUARD },
  { file: 'content.js', texts: ['→ +1', '>> '], where: '', reason: SIZE },
  {
    file: 'content.js',
    where: 'shortText',
    texts: ['→ |', '8 → +1', 'at <= last → <', '>= 0x80 → true', '>= 0x80 → >', '0x80 → +1', '→ null'],
    reason: FASTER,
  },
  { file: 'content.js', where: 'text', texts: ['SHORT_TEXT', 'SCRATCH_SIZE', 'own → false', 'key === 0 → false'], reason: FASTER },
  { file: 'content.js', where: 'text', texts: ['giveScratch'], reason: KEPT },
  { file: 'content.js', where: 'copy', texts: ['key === 0', '0 → +1'], reason: FASTER },
  { file: 'content.js', where: 'unmask', texts: ['key === 0 → false', '0 → +1'], reason: FASTER },
  { file: 'content.js', where: 'drop', texts: ['spare = null'], reason: KEPT },
  { file: 'frame.js', where: '', texts: ['14 → +1'], reason: SIZE },
  { file: 'frame.js', where: 'decodeLongLength', texts: ['available > 0 → >='], reason: 'A byte that is not there is not over 0x7f.' },
  { file: 'frame.js', where: 'decodeFirstByte', texts: ['first < 0 → <=', 'first >= 0x80 → >', '0x80 → +1'], reason: NUMBERS },
  {
    file: 'frame.js',
    where: 'checkFrameHeader',
    texts: ['control → false'],
    reason: 'No control frame comes here: seven bits hold no length over 125.',
  },
  { file: 'frame.js', where: 'encodeFrameHeader', texts: ["typeof payloadLength === 'bigint'", '0xffff → +1'], reason: FASTER },
  { file: 'frame.js', where: 'serializeFrame', texts: ['frame.maskKey === undefined → false'], reason: FASTER },
  { file: 'frame-in-progress.js', where: 'giveFrame', texts: ['MOST_FREE', 'free.push', 'EMPTY'], reason: KEPT },
  { file: 'frame-in-progress.js', where: '', texts: ['8 → +1'], reason: SIZE },
  { file: 'frame-in-progress.js', where: '', texts: ['0 → +1', 'false → true'], reason: FIRST },
  { file: 'frame-writer.js', where: '#preview', texts: ['tracer === null → false'], reason: GUARD },
  { file: 'frame-writer.js', where: '', texts: ['→ +1'], reason: SIZE },
  { file: 'input.js', where: '', texts: ['4096 →', '256 →', '65536 →'], reason: SIZE },
  { file: 'input.js', where: '', texts: ['0 → +1'], reason: FIRST },
  { file: 'input.js', where: 'push', texts: ['bytes.length === 0 → false'], reason: GUARD },
  { file: 'input.js', where: 'push', texts: ['bytes.length >= REFERENCE_FROM', 'bytes.length * 2 >=', '2 → +1'], reason: KEPT },
  {
    file: 'backlog.js',
    where: '',
    texts: ['1 << 18', '65536 →', '64 →', 'SCRATCH_SIZE / 3', '3 → +1', '1 → +1', '18 → +1'],
    reason: SIZE,
  },
  { file: 'backlog.js', where: '', texts: ['0 → +1', 'false → true'], reason: FIRST },
  { file: 'backlog.js', where: 'lasting', texts: ['REFERENCE_FROM'], reason: FASTER },
  { file: 'backlog.js', where: '#atOnce', texts: ['giveScratch', 'text !== null'], reason: KEPT },
  { file: 'backlog.js', where: '#oneStep', texts: ['giveScratch'], reason: KEPT },
  { file: 'backlog.js', where: 'data', texts: ['MOST_AT_ONCE', 'this.#budget > 0', '0 → +1'], reason: FASTER },
];

/** @param {{ file: string, where: string, what: string }} mutant @returns {string | null} */
export function reasonFor({ file, where, what }) {
  const found = reasons.find(
    (entry) =>
      entry.file === file && (entry.where === undefined || entry.where === where) && entry.texts.some((text) => what.includes(text)),
  );
  return found?.reason ?? null;
}
