/**
 * Mutants of the core: each changes one condition of its built source. `clause` is the section that the changed condition serves; a case
 * that names it has to fail. The text to find must be in the file exactly once, so that a mutant that no longer fits is noticed.
 */
export interface Mutant {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly clause: string;
  /** The cases that are run, and why they are enough: they are those of the clause. */
  readonly cases: readonly string[];
}

function mutant(file: string, find: string, replace: string, clause: string, ...cases: string[]): Mutant {
  return { file, find, replace, clause, cases };
}

const header: readonly Mutant[] = [
  mutant('frame.js', 'if (opcode > 10 ||', 'if (opcode > 11 ||', 'RFC 6455 5.2', '4.2.*'),
  mutant('frame.js', 'if (opcode > 10 ||', 'if (opcode > 15 ||', 'RFC 6455 5.2', '4.2.*'),
  mutant('frame.js', '(opcode > 2 && !control)', '(opcode > 3 && !control)', 'RFC 6455 5.2', '4.1.*'),
  mutant('frame.js', '(opcode > 2 && !control)', '(opcode > 7 && !control)', 'RFC 6455 5.2', '4.1.*'),
  mutant('frame.js', '(opcode > 2 && !control)', '(opcode > 1 && !control)', 'RFC 6455 5.6', '1.2.*'),
  mutant('frame.js', 'const control = opcode >= 8;', 'const control = opcode >= 9;', 'RFC 6455 5.5.1', '7.3.*'),
  mutant('frame.js', 'if (rsv !== 0 && (control', 'if (rsv > 1 && (control', 'RFC 6455 5.2', '3.*'),
  mutant('frame.js', 'if (rsv !== 0 && (control', 'if (rsv === 4 && (control', 'RFC 6455 5.2', '3.*'),
  mutant('frame.js', 'rsv !== 0 && (control || opcode', 'rsv !== 0 && (opcode', 'RFC 6455 5.2', 'F.7.12'),
  mutant('frame.js', 'opcode === Opcode.Continuation || (rsv &', '(rsv &', 'RFC 7692 6.1', 'F.7.13'),
  mutant('frame.js', '(rsv & ~context.allowedRsv) !== 0', '(rsv & context.allowedRsv) !== 0', 'RFC 6455 5.2', '3.*'),
  mutant('frame.js', '(rsv & ~context.allowedRsv) !== 0', 'context.allowedRsv === 0', 'RFC 6455 5.2', 'F.7.14'),
  mutant('frame.js', 'if (!header.fin)', 'if (!header.fin && opcode !== 9)', 'RFC 6455 5.5', '5.1'),
  mutant('frame.js', 'if (!header.fin)', 'if (!header.fin && opcode !== 10)', 'RFC 6455 5.5', 'F.3.*'),
  mutant('frame.js', 'if (!header.fin)', 'if (!header.fin && opcode !== 8)', 'RFC 6455 5.5', 'F.3.*'),
  mutant('frame.js', 'if (!header.fin)', 'if (header.fin)', 'RFC 6455 5.5.2', '2.*'),
  mutant('frame.js', 'if (!context.messageOpen)', 'if (!context.messageOpen && header.fin)', 'RFC 6455 5.4', '5.12', '5.13', '5.14'),
  mutant('frame.js', 'if (!context.messageOpen)', 'if (!context.messageOpen && !header.fin)', 'RFC 6455 5.4', '5.9', '5.10', '5.11'),
  mutant('frame.js', 'else if (context.messageOpen) {', 'else if (context.messageOpen && header.fin) {', 'RFC 6455 5.4', '5.16', 'F.3.*'),
  mutant('frame.js', 'else if (context.messageOpen) {', 'else if (context.messageOpen && !header.fin) {', 'RFC 6455 5.4', '5.18'),
  mutant('frame.js', 'else if (context.messageOpen) {', 'else if (context.messageOpen && opcode !== 2) {', 'RFC 6455 5.4', 'F.3.*'),
  mutant('frame.js', "context.role === 'server'", "context.role !== 'server'", 'RFC 6455 5.6', '1.*'),
  mutant(
    'frame.js',
    'if (!header.masked && lenient?.unmaskedClientFrames !== true)',
    'if (!header.masked && control)',
    'RFC 6455 5.1',
    'F.1.*',
  ),
  mutant(
    'frame.js',
    'if (!header.masked && lenient?.unmaskedClientFrames !== true)',
    'if (!header.masked && !control)',
    'RFC 6455 5.1',
    'F.1.*',
  ),
  mutant(
    'frame.js',
    'if (!header.masked && lenient?.unmaskedClientFrames !== true)',
    'if (!header.masked && length > 0)',
    'RFC 6455 5.1',
    'F.1.*',
  ),
  mutant(
    'frame.js',
    'else if (header.masked && lenient?.maskedServerFrames !== true) {',
    'else if (header.masked && length > 0) {',
    'RFC 6455 5.1',
    'F.1.*',
  ),
  mutant(
    'frame.js',
    'else if (header.masked && lenient?.maskedServerFrames !== true) {',
    'else if (header.masked && control) {',
    'RFC 6455 5.1',
    'F.1.*',
  ),
  mutant(
    'frame.js',
    'length > (control ? MAX_CONTROL_PAYLOAD : context.maxFrameSize)',
    'length > (control ? 124 : context.maxFrameSize)',
    'RFC 6455 5.5.2',
    '2.*',
  ),
  mutant(
    'frame.js',
    'lengthBytes === 8 && header.lengthMsb === true',
    'lengthBytes === 8 && header.lengthMsb === undefined',
    'RFC 6455 5.2',
    '1.1.7',
  ),
  mutant('frame.js', '(lengthBytes === 2 ? 125 : 0xffff)', '(lengthBytes === 2 ? 124 : 0xffff)', 'RFC 6455 5.2', 'F.2.*'),
  mutant('frame.js', '(lengthBytes === 2 ? 125 : 0xffff)', '(lengthBytes === 2 ? 126 : 0xffff)', 'RFC 6455 5.2', '1.1.*'),
  mutant('frame.js', '(lengthBytes === 2 ? 125 : 0xffff)', '(lengthBytes === 2 ? 125 : 0xfffe)', 'RFC 6455 5.2', 'F.2.*'),
  mutant('frame.js', '(lengthBytes === 2 ? 125 : 0xffff)', '(lengthBytes === 2 ? 125 : 0x10000)', 'RFC 6455 5.2', '1.1.*'),
  mutant('frame.js', 'if (minimalOnly && length <=', 'if (minimalOnly && length <', 'RFC 6455 5.2', 'F.2.*'),
  mutant('frame.js', 'if (short < 126) {', 'if (short < 127) {', 'RFC 6455 5.2', '1.1.*'),
  mutant('frame.js', 'if (available < 4) {', 'if (available < 3) {', 'RFC 6455 5.2', 'F.2.10'),
  mutant(
    'frame.js',
    'into.fin = first >= 0x80;\n    into.rsv = (first >> 4) & 7;',
    'into.fin = first > 0x80;\n    into.rsv = (first >> 4) & 7;',
    'RFC 6455 5.4',
    '5.3',
  ),
  mutant(
    'frame.js',
    'payloadLength < 126 ? 2 : payloadLength < 65536 ? 4 : 10',
    'payloadLength < 125 ? 2 : payloadLength < 65536 ? 4 : 10',
    'RFC 6455 5.2',
    '1.*',
  ),
];

const headerBytes: readonly Mutant[] = [
  mutant('frame.js', 'const masked = second >= 0x80;', 'const masked = second > 0x80;', 'RFC 6455 5.2', '1.*'),
  mutant('frame.js', 'if (available < 2)', 'if (available < 1)', 'RFC 6455 5.5.2', '2.6', '2.11'),
  mutant('frame.js', 'if (available < size + 4)', 'if (available < size + 3)', 'RFC 6455 5.5.2', '2.6', '2.11'),
  mutant('frame.js', 'if (available < 8)', 'if (available < 7)', 'RFC 6455 5.2', 'F.2.*'),
  mutant('frame.js', 'high > 0x1fffff ?', 'high < 0x1fffff ?', 'RFC 6455 5.2', '1.1.7'),
];

const closing: readonly Mutant[] = [
  mutant('close.js', '(code >= 1000 && code <= 1003)', '(code >= 999 && code <= 1003)', 'RFC 6455 7.4.1', '7.9.*'),
  mutant('close.js', '(code >= 1000 && code <= 1003)', '(code >= 1000 && code <= 1004)', 'RFC 6455 7.4.1', '7.9.*'),
  mutant('close.js', '(code >= 1000 && code <= 1003)', '(code >= 1000 && code < 1003)', 'RFC 6455 7.4.1', '7.7.*'),
  mutant('close.js', '(code >= 1000 && code <= 1003)', '(code >= 1001 && code <= 1003)', 'RFC 6455 5.5.1', '7.3.*'),
  mutant('close.js', '(code >= 1007 && code <= 1014)', '(code >= 1006 && code <= 1014)', 'RFC 6455 7.4.1', '7.9.*'),
  mutant('close.js', '(code >= 1007 && code <= 1014)', '(code >= 1005 && code <= 1014)', 'RFC 6455 7.4.1', '7.9.*'),
  mutant('close.js', '(code >= 1007 && code <= 1014)', '(code > 1007 && code <= 1014)', 'RFC 6455 7.4.1', '7.7.*'),
  mutant('close.js', '(code >= 1007 && code <= 1014)', '(code >= 1007 && code <= 1011)', 'RFC 6455 7.4.1', 'F.5.*'),
  mutant('close.js', '(code >= 1007 && code <= 1014)', '(code >= 1007 && code <= 1016)', 'RFC 6455 7.4.1', '7.9.*'),
  mutant('close.js', '(code >= 3000 && code <= 4999)', '(code >= 2999 && code <= 4999)', 'RFC 6455 7.4.2', '7.9.*'),
  mutant('close.js', '(code >= 3000 && code <= 4999)', '(code > 3000 && code <= 4999)', 'RFC 6455 7.4.2', '7.7.*'),
  mutant('close.js', '(code >= 3000 && code <= 4999)', '(code >= 3000 && code < 4999)', 'RFC 6455 7.4.2', '7.7.*'),
  mutant('close.js', '(code >= 3000 && code <= 4999)', '(code >= 3000 && code <= 3999)', 'RFC 6455 7.4.2', '7.7.*'),
  mutant('close.js', 'if (payload.length === 1)', 'if (payload.length === 2)', 'RFC 6455 5.5.1', '7.3.*'),
  mutant('close.js', 'return reason === null ?', 'return reason === undefined ?', 'RFC 6455 5.5.1', '7.5.1'),
];

const texts: readonly Mutant[] = [
  mutant('utf8.js', 'if (lead < 0xc2 || lead > 0xf4)', 'if (lead < 0xc0 || lead > 0xf4)', 'RFC 3629 3', '6.*', 'F.4.*'),
  mutant('utf8.js', 'if (lead < 0xc2 || lead > 0xf4)', 'if (lead < 0xc2 || lead > 0xf7)', 'RFC 3629 3', '6.*', 'F.4.*'),
  mutant('utf8.js', 'lead === 0xf4 ? 0x8f : 0xbf', 'lead === 0xf4 ? 0x9f : 0xbf', 'RFC 3629 3', '6.*', 'F.4.*'),
  mutant('utf8.js', 'return this.#missing === 0 && !this.#failed;', 'return !this.#failed;', 'RFC 6455 8.1', '6.*', 'F.4.*'),
];

export const mutants: readonly Mutant[] = [...header, ...headerBytes, ...closing, ...texts];
