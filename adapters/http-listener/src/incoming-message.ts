/**
 * Node's message, of a server that takes upgrades to WebSockets and no others.
 *
 * With a listener of 'upgrade' Node takes every request with an Upgrade field for one, parses no further, and hands the socket over, on which a
 * body lies raw. Clients that would like HTTP/2 ask for `h2c` with whatever they send first, the form of a POST too, and are content to be
 * answered (RFC 9110 section 7.8: a server may ignore the field). Newer Nodes, Bun and Deno have an option for that (`shouldUpgradeCallback`);
 * Node 20 has none, but asks its message.
 */
import { IncomingMessage } from 'node:http';
import { isWebSocketRequest } from '@ferrywire/handshake';

export class ListenerMessage extends IncomingMessage {
  /** No initial value: the constructor of Node's sets `upgrade` before ours could. */
  declare private asks: boolean | null;

  get upgrade(): boolean | null {
    if (this.asks !== true || this.method === 'CONNECT') return this.asks;
    return isUpgrade(this);
  }
  set upgrade(value: boolean | null) {
    this.asks = value;
  }

  /**
   * Nothing that comes behind it is to be believed. Whatever we say, the parser of Node and Deno stops behind a request that it takes for an upgrade,
   * drops the rest of the piece, and goes on in the middle of the next request. And what is HTTP/1.0 and comes in chunks has passed somebody who
   * does not know of chunks (RFC 9112 section 6.1).
   */
  get isLast(): boolean {
    return this.asks === true || (versionOf(this.httpVersion) === '1.0' && this.headers['transfer-encoding'] !== undefined);
  }
}

/** Of a request with an Upgrade field: is it for a WebSocket? */
export function isUpgrade({ method = '', url = '', httpVersion, rawHeaders }: IncomingMessage): boolean {
  return isWebSocketRequest({ method, target: url, httpVersion: versionOf(httpVersion), headers: rawHeaders });
}

/** Node's parser takes 0.9 and 2.0 in a request line as well, in which there is no Upgrade either (RFC 9110 sections 2.5 and 7.8). */
export function versionOf(httpVersion: string): '1.0' | '1.1' {
  return httpVersion === '1.1' ? '1.1' : '1.0';
}
