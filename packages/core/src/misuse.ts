/**
 * Misuse by the application: thrown at once, with a code that a program can tell apart and a message that names the call.
 *
 * What a peer does never ends here (`violations.ts`), and neither does a race: sending after the peer has closed returns false.
 */
export type MisuseCode =
  /** A data frame while a fragmented message is open (RFC 6455 section 5.4). */
  | 'WS_MISUSE_MESSAGE_OPEN'
  /** A continuation without a message to continue. */
  | 'WS_MISUSE_NO_MESSAGE'
  /** A write after `end()`. */
  | 'WS_MISUSE_WRITER_ENDED'
  /** Input from inside a callback. */
  | 'WS_MISUSE_REENTRANT';

export function misuse(code: MisuseCode, message: string): Error & { readonly code: MisuseCode } {
  return Object.assign(new Error(message), { code });
}

export function checkBytes(value: unknown, name: string): void {
  if (!isBytes(value)) throw new TypeError(`${name} must be a Uint8Array, not ${describe(value)}`);
}
/** Of another realm too: test runners and sandboxes have a Uint8Array of their own. */
function isBytes(value: unknown): boolean {
  return value instanceof Uint8Array || (ArrayBuffer.isView(value) && (value as Uint8Array)[Symbol.toStringTag] === 'Uint8Array');
}
/** Bytes that are to be sent. */
export function checkPayload(value: unknown, name: string): void {
  checkBytes(value, name);
  checkBuffer(value as Uint8Array, name);
}
/** An array that has lost its buffer looks like an empty one, and an empty message would go out in its place. */
function checkBuffer(bytes: Uint8Array, name: string): void {
  // Its buffer is not asked for before: JavaScriptCore makes one then (bench: `echo --runtime bun`, 125 B).
  if (bytes.length > 0) return;
  try {
    new Uint8Array(bytes.buffer);
  } catch {
    throw new TypeError(`the buffer of ${name} has been transferred`);
  }
}
export function checkData(value: unknown, name: string): void {
  if (typeof value === 'string') return;
  if (!isBytes(value)) throw new TypeError(`${name} must be a string or a Uint8Array, not ${describe(value)}`);
  checkBuffer(value as Uint8Array, name);
}
export function describe(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : typeof value;
}
