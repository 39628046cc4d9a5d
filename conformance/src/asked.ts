/**
 * What the harness's requests carry besides what a WebSocket needs, for servers that ask for more: credentials, an origin, the name of a virtual
 * host, a subprotocol (RFC 6455 sections 1.9, 4.1, 10.2). The fields of the handshake itself stay the harness's.
 */

export interface RequestExtras {
  /** Fields of every request, in order. `Host` (over HTTP/2 `:authority`) and `User-Agent` take the place of the harness's. Values are Latin-1. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** Asked for in every request, preferred first. Then a server may choose one of them, or none. */
  readonly subprotocols?: readonly string[];
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const own = /^(connection|upgrade|content-length|transfer-encoding|sec-websocket-.*)$/i;

/** The extras, checked. */
export class Asked {
  /** Null: as the URL has it. */
  readonly host: string | null;
  readonly subprotocols: readonly string[];
  /** Names as given; without `Host`, with the subprotocols. */
  readonly fields: readonly (readonly [name: string, value: string])[];

  /** Throws TypeError for what is no field or no subprotocol, and for fields that the harness writes itself. */
  constructor({ headers = [], subprotocols = [] }: RequestExtras) {
    for (const [name, value] of headers) checkField(name, value);
    const hosts = headers.filter(isHost);
    if (hosts.length > 1) throw new TypeError('a request has one Host');
    for (const name of subprotocols) if (!token.test(name)) throw new TypeError(`not a subprotocol: ${JSON.stringify(name)}`);
    if (new Set(subprotocols).size < subprotocols.length) throw new TypeError('a subprotocol is asked for twice');
    this.host = hosts[0]?.[1] ?? null;
    this.subprotocols = subprotocols;
    const asks = subprotocols.length === 0 ? [] : [['Sec-WebSocket-Protocol', subprotocols.join(', ')] as const];
    this.fields = [...headers.filter((field) => !isHost(field)), ...asks];
  }

  /** The lines of a request with the extras behind them; a line of a name that is among them gives way. */
  addTo(lines: readonly string[]): string[] {
    const names = new Set(this.fields.map(([name]) => name.toLowerCase()));
    const kept = lines.filter((line) => !names.has(line.slice(0, Math.max(0, line.indexOf(':'))).toLowerCase()));
    return [...kept, ...this.fields.map(([name, value]) => `${name}: ${value}`)];
  }
}

function isHost([name]: readonly [string, string]): boolean {
  return name.toLowerCase() === 'host';
}

function checkField(name: string, value: string): void {
  if (!token.test(name)) throw new TypeError(`not the name of a field: ${JSON.stringify(name)}`);
  if (own.test(name)) throw new TypeError(`the header ${name} can not be given: it is the harness's own`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  if (/[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/.test(value)) throw new TypeError(`not a value of ${name}: ${JSON.stringify(value)}`);
}
