/** The frame cases of `conformance/data/frame-cases.json`, whose `about` explains the notation, as bytes and values. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Role } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';

export type Bytes = string | readonly (string | readonly [hex: string, times: number])[];
export interface FramePart {
  readonly head: string;
  readonly payload?: Bytes;
  readonly length?: number | string;
  readonly form?: 0 | 2 | 8;
  readonly masked?: boolean;
  readonly key?: string;
}
export type Part = FramePart | { readonly rest: Bytes } | { readonly raw: Bytes } | { readonly server: Bytes; readonly client: Bytes };
export type Step =
  | { readonly write: readonly Part[]; readonly times?: number; readonly chop?: number }
  | { readonly wait: number }
  | { readonly end: true }
  | { readonly reading: boolean }
  | { readonly call: 'close' | 'send'; readonly with: readonly unknown[] }
  | { readonly untilClose: number }
  | { readonly untilEnded: number };
export type Message = { readonly text: string | readonly [string, number] | Digest } | { readonly binary: Bytes | Digest };
export interface Digest {
  readonly size: number;
  readonly sha256: string;
}
export interface Outcome {
  readonly state: 'open' | 'waiting' | 'closed' | 'failed' | 'lost';
  readonly codes?: readonly number[];
  readonly reply?: readonly (number | null)[] | null;
  readonly reports?: { readonly code: number; readonly clean: boolean; readonly reason?: string };
  readonly messages?: readonly Message[] | 'any';
  readonly pongs?: readonly string[];
  readonly pongRule?: 'coalesce-ok' | 'last-only' | 'any';
  readonly by?: number;
  readonly silent?: boolean;
}
export interface FrameCase {
  readonly id: string;
  readonly role: Role;
  readonly level: 'required' | 'recommended' | 'informational';
  readonly refs: readonly string[];
  readonly limit: number | null;
  readonly deflate: { readonly takeover: boolean; readonly bits: number } | null;
  readonly steps: readonly Step[];
  readonly outcomes: readonly Outcome[];
}

interface StoredCase extends Omit<FrameCase, 'role' | 'limit' | 'deflate'> {
  readonly roles: 'S' | 'C' | 'SC';
  readonly limit?: number;
  readonly deflate?: FrameCase['deflate'];
}

const file = new URL('../../../conformance/data/frame-cases.json', import.meta.url);
const stored = (JSON.parse(readFileSync(file, 'utf8')) as { cases: readonly StoredCase[] }).cases;

export const frameCases: readonly FrameCase[] = stored.flatMap(({ roles, limit = null, deflate = null, ...rest }) =>
  [...roles].map((letter) => ({
    ...rest,
    id: roles === 'SC' ? `${rest.id}-${letter}` : rest.id,
    role: letter === 'S' ? ('server' as const) : ('client' as const),
    limit,
    deflate,
  })),
);

export function bytesOf(bytes: Bytes): Uint8Array {
  if (typeof bytes === 'string') return Buffer.from(bytes, 'hex');
  return Buffer.concat(
    bytes.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : Buffer.from(part[0].repeat(part[1]), 'hex'))),
  );
}

const KEY = '37fa213d';

/** Octet by octet, with nothing of the codec under test. */
function maskedWith(key: string, payload: Uint8Array, phase: number): Uint8Array {
  const octets = Buffer.from(key, 'hex');
  return payload.map((byte, index) => byte ^ (octets[(index + phase) % 4] as number));
}

/** Writes parts for an endpoint of `role`, remembering where in a masked payload a write ended. */
export class PartWriter {
  readonly #role: Role;
  #key: string | null = null;
  #phase = 0;

  constructor(role: Role) {
    this.#role = role;
  }

  write(parts: readonly Part[]): Uint8Array {
    return Buffer.concat(parts.map((part) => this.#part(part)));
  }

  #part(part: Part): Uint8Array {
    if ('raw' in part) return bytesOf(part.raw);
    if ('server' in part) return bytesOf(part[this.#role]);
    if ('rest' in part) return this.#payload(bytesOf(part.rest));
    const payload = bytesOf(part.payload ?? '');
    const length = BigInt(part.length ?? payload.length);
    const form = part.form ?? (length < 126n ? 0 : length < 65536n ? 2 : 8);
    this.#key = (part.masked ?? this.#role === 'server') ? (part.key ?? KEY) : null;
    this.#phase = 0;
    const short = form === 0 ? Number(length) : form === 2 ? 126 : 127;
    const head = `${part.head}${(short + (this.#key === null ? 0 : 128)).toString(16).padStart(2, '0')}`;
    const extra = form === 0 ? '' : length.toString(16).padStart(form * 2, '0');
    return Buffer.concat([Buffer.from(`${head}${extra}${this.#key ?? ''}`, 'hex'), this.#payload(payload)]);
  }

  #payload(payload: Uint8Array): Uint8Array {
    if (this.#key === null) return payload;
    const masked = maskedWith(this.#key, payload, this.#phase);
    this.#phase = (this.#phase + payload.length) % 4;
    return masked;
  }
}

/** A frame as this endpoint's peer would write it. */
export function peerFrame(role: Role, opcode: number, payload: Uint8Array): Uint8Array {
  return serializeFrame(role === 'server' ? { opcode, payload, maskKey: 0x37fa213d } : { opcode, payload });
}

/** One line per message, so that a difference can be read. */
export function describeExpected(message: Message): string {
  if ('text' in message) {
    if (typeof message.text === 'string') return describeText(message.text);
    return 'size' in message.text
      ? `text ${message.text.size} ${message.text.sha256}`
      : describeText(message.text[0].repeat(message.text[1]));
  }
  if (typeof message.binary === 'object' && 'size' in message.binary) return `binary ${message.binary.size} ${message.binary.sha256}`;
  return describeBinary(bytesOf(message.binary));
}

export function describeText(text: string): string {
  return digest('text', Buffer.from(text));
}

export function describeBinary(data: Uint8Array): string {
  return digest('binary', data);
}

function digest(kind: string, data: Uint8Array): string {
  return `${kind} ${data.length} ${createHash('sha256').update(data).digest('hex')}`;
}
