/** The browser's own WebSocket as a client of the echo endpoint, and the count of what it has sent in bytes of frames. */

/** RFC 6455 section 5.2: what a client's frame with so much payload takes on the wire. */
function frameSize(payload: number): number {
  return payload + (payload < 126 ? 6 : payload < 65_536 ? 8 : 14);
}

export interface BrowserClientEvents {
  changed(): void;
  said(text: string): void;
}

export class BrowserClient {
  readonly #events: BrowserClientEvents;
  #socket: WebSocket | null = null;
  /** Bytes of frames handed to the browser. Its own pongs are not in it: no page sees them. */
  sent = 0;

  constructor(events: BrowserClientEvents) {
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }
  get isIdle(): boolean {
    return this.#socket === null || this.#socket.readyState === WebSocket.CLOSED;
  }
  /** What the browser still holds. */
  get unsent(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  connect(url: string, subprotocol: string): void {
    const socket = subprotocol === '' ? new WebSocket(url) : new WebSocket(url, subprotocol);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.sent = 0;
    socket.addEventListener('open', () => {
      this.#events.said(socket.protocol === '' ? 'browser: open' : `browser: open, subprotocol ${socket.protocol}`);
      this.#events.changed();
    });
    socket.addEventListener('message', ({ data }: MessageEvent<string | ArrayBuffer>) => {
      // A flood would bury what the server's trace says.
      if (typeof data === 'string') this.#events.said(`browser: got ${JSON.stringify(data.slice(0, 80))}`);
      else if (data.byteLength < 4096) this.#events.said(`browser: got ${data.byteLength} bytes`);
    });
    socket.addEventListener('close', ({ code, reason, wasClean }) => {
      const why = reason === '' ? '' : ` ${JSON.stringify(reason)}`;
      this.#events.said(`browser: closed with ${code}${why}, ${wasClean ? 'clean' : 'not clean'}`);
      this.#events.changed();
    });
    this.#events.changed();
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    const size = typeof data === 'string' ? new TextEncoder().encode(data).length : data.length;
    this.#socket?.send(data);
    this.sent += frameSize(size);
  }

  /** Throws for a code that the standard keeps from pages. */
  close(code: number | null, reason: string): void {
    if (code === null) this.#socket?.close();
    else this.#socket?.close(code, reason);
  }
}
