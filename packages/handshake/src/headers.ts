/**
 * Header fields: any container in, a list or an index out (RFC 9110 section 5).
 *
 * Names from the wire only ever become keys of a `Map`, so `__proto__` and `constructor` are names like any other.
 */
import { checkString } from './kinds.ts';
import { isFieldValue, isToken, trimOws } from './tokens.ts';

/** Whatever the host has: WHATWG Headers, Node's headers or rawHeaders, a list of pairs. */
export type HeaderInput =
  | { forEach(callback: (value: string, name: string) => void): void }
  | { readonly [name: string]: string | readonly string[] | undefined }
  | Iterable<readonly [name: string, value: string]>
  | readonly string[];
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** Values by lower-case name, in order, without the white space around them. */
export type FieldIndex = ReadonlyMap<string, readonly string[]>;

const none: readonly string[] = Object.freeze([]);

function isIterable(input: object): input is Iterable<unknown> {
  return typeof (input as { [Symbol.iterator]?: unknown })[Symbol.iterator] === 'function';
}

function eachField(input: HeaderInput, visit: (name: string, value: string) => void): void {
  if (typeof input !== 'object' || input === null) throw new TypeError('headers must be an object, a list, or have forEach');
  // Iteration comes first: iterators have a forEach of their own (with an index) on newer runtimes.
  if (isIterable(input)) {
    const items = [...input];
    if (typeof items[0] === 'string') {
      if (items.length % 2 !== 0) throw new TypeError('headers: a flat list holds a value for every name');
      for (let i = 0; i < items.length; i += 2) visit(String(items[i]), String(items[i + 1]));
      return;
    }
    for (const item of items) {
      if (!Array.isArray(item) || item.length !== 2) throw new TypeError('headers: each item must be a [name, value] pair');
      eachValue(String(item[0]), item[1], visit);
    }
  } else if (typeof (input as { forEach?: unknown }).forEach === 'function') {
    (input as { forEach(callback: (value: unknown, name: unknown) => void): void }).forEach((value, name) => {
      eachValue(String(name), value, visit);
    });
  } else {
    const record = input as { readonly [name: string]: unknown };
    for (const name of Object.keys(record)) eachValue(name, record[name], visit);
  }
}

function eachValue(name: string, value: unknown, visit: (name: string, value: string) => void): void {
  if (value === undefined || value === null) return;
  if (Array.isArray(value)) for (const item of value) visit(name, String(item));
  else visit(name, String(value));
}

/** Fields by lower-case name. Pseudo-headers (`:path`) are left out. */
export function indexFields(input: HeaderInput): FieldIndex {
  const index = new Map<string, string[]>();
  eachField(input, (name, value) => {
    if (name.startsWith(':')) return;
    const key = name.toLowerCase();
    const values = index.get(key);
    if (values === undefined) index.set(key, [trimOws(value)]);
    else values.push(trimOws(value));
  });
  return index;
}

export function fieldValues(index: FieldIndex, name: string): readonly string[] {
  return index.get(name) ?? none;
}

/** Fields of a connection, which HTTP/2 and 3 do not have: a head with one is malformed (RFC 9113 section 8.2.2). */
const connectionFields: readonly string[] = ['connection', 'upgrade', 'keep-alive', 'proxy-connection', 'transfer-encoding'];

export function hasConnectionFields(index: FieldIndex): boolean {
  return connectionFields.some((name) => index.has(name));
}

/**
 * The value of a field; several lines of it joined with ", " in order (RFC 9110 section 5.3). Null when it is absent.
 *
 * @param name In any case.
 */
export function getHeader(headers: HeaderInput, name: string): string | null {
  checkString(name, 'name');
  const values: string[] = [];
  const wanted = name.toLowerCase();
  eachField(headers, (field, value) => {
    if (field.length === wanted.length && field.toLowerCase() === wanted) values.push(trimOws(value));
  });
  return values.length === 0 ? null : values.join(', ');
}

/**
 * Checks fields the application wants to send. Nothing of ours is ever split by them (RFC 9112 section 11.1), and nothing the protocol
 * sets itself is set twice.
 *
 * @throws {TypeError} naming the option.
 */
export function checkFields(fields: HeaderList, option: string, reserved: (name: string) => boolean): void {
  if (!Array.isArray(fields)) throw new TypeError(`${option} must be a list of [name, value] pairs`);
  for (const field of fields as readonly unknown[]) {
    if (!Array.isArray(field) || field.length !== 2) throw new TypeError(`${option} must be a list of [name, value] pairs`);
    const [name, value] = field as readonly unknown[];
    if (typeof name !== 'string' || !isToken(name)) throw new TypeError(`${option}: a field name must be a token (RFC 9110 section 5.6.2)`);
    if (typeof value !== 'string' || !isFieldValue(value)) {
      throw new TypeError(`${option}: the value of ${name} holds a character that no field value may hold (RFC 9110 section 5.5)`);
    }
    if (reserved(name.toLowerCase())) throw new TypeError(`${option}: ${name} is set by the protocol`);
  }
}
