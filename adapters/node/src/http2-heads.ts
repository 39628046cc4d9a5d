/**
 * Heads between Node's HTTP/2 API and the handshake: pseudo-header fields become members, repeated fields stay repeated (RFC 8441 section 4,
 * RFC 9113 section 8.3).
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import type { ServerRequest } from '@ferrywire/driver';
import type { HeaderList } from '@ferrywire/handshake';

/** Fields of an HTTP/1.1 connection, which HTTP/2 does not have: Node refuses to send them (RFC 9113 section 8.2.2). */
const connectionFields: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

/** Names and values in turn, as they came; `fallback` where the runtime has no such list. */
export function fieldsOf(raw: readonly string[] | undefined, fallback: IncomingHttpHeaders): HeaderList {
  const fields: (readonly [string, string])[] = [];
  if (raw !== undefined && raw.length > 0) {
    for (let index = 0; index + 1 < raw.length; index += 2) fields.push([String(raw[index]), String(raw[index + 1])]);
  } else {
    for (const [name, value] of Object.entries(fallback)) {
      for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) fields.push([name, String(one)]);
    }
  }
  return fields;
}

/** A request as the handshake wants it. */
export function requestOf(fields: HeaderList): ServerRequest {
  const pseudo = new Map(fields.filter(([name]) => name.startsWith(':')));
  const authority = pseudo.get(':authority');
  const scheme = pseudo.get(':scheme');
  const protocol = pseudo.get(':protocol');
  return {
    method: pseudo.get(':method') ?? '',
    target: pseudo.get(':path') ?? '',
    httpVersion: '2',
    ...(authority === undefined ? null : { authority }),
    ...(scheme === undefined ? null : { scheme }),
    ...(protocol === undefined ? null : { protocol }),
    headers: fields.filter(([name]) => !name.startsWith(':')),
  };
}

/** What `respond` and `request` take. */
export function outgoing(pseudo: Readonly<Record<string, string | number>>, fields: HeaderList): OutgoingHttpHeaders {
  // Without a prototype: 'constructor' is a name like any other.
  const headers: OutgoingHttpHeaders = Object.assign(Object.create(null), pseudo);
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    if (connectionFields.has(lower)) continue;
    const before = headers[lower];
    headers[lower] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [String(before), value];
  }
  return headers;
}
