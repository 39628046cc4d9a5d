/**
 * What the page and the demo's server say to each other on the control channel: one JSON object in each text message.
 */

/** Who speaks to the echo endpoint: the browser's own WebSocket, or a client inside the demo that can also write what is illegal. */
export type ClientName = 'browser' | 'raw';

/** The rows of the core's table `lifecycle`. */
export type StateName = 'open' | 'closeSent' | 'closeReceived' | 'closed' | 'failed' | 'ended' | 'aborted';

export type Command =
  | { readonly do: 'connect'; readonly subprotocol: string }
  | { readonly do: 'text'; readonly client: ClientName; readonly text: string }
  | { readonly do: 'binary'; readonly client: ClientName; readonly hex: string }
  | { readonly do: 'fragments'; readonly client: ClientName; readonly text: string; readonly parts: number }
  | { readonly do: 'ping'; readonly client: ClientName; readonly text: string }
  | { readonly do: 'close'; readonly client: ClientName; readonly code: number | null; readonly reason: string }
  | { readonly do: 'fill'; readonly client: ClientName; readonly messages: number; readonly size: number }
  | { readonly do: 'pause'; readonly client: ClientName }
  | { readonly do: 'resume'; readonly client: ClientName }
  | { readonly do: 'illegal'; readonly name: string };

/** A frame as its bits say. One that was refused early was not read to the end: its `length` may be -1, its key 0. */
export interface FrameView {
  readonly opcode: number;
  readonly fin: boolean;
  readonly rsv: number;
  readonly masked: boolean;
  /** -1 when it is not known, or not exactly. */
  readonly length: number;
  readonly lengthBytes: number;
  /** Big-endian uint32. */
  readonly maskKey: number;
  /** The first bytes of the payload in hex, unmasked. */
  readonly preview: string;
}

export interface Line {
  readonly connection: number;
  readonly client: ClientName;
  readonly direction: 'in' | 'out' | 'state' | 'timer';
  readonly text: string;
  /** Milliseconds since the connection opened. */
  readonly at: number;
  readonly frame: FrameView | null;
}

/** One connection of the echo endpoint as the server sees it. */
export interface Snapshot {
  readonly connection: number;
  readonly client: ClientName;
  readonly state: StateName;
  readonly subprotocol: string | null;
  readonly paused: boolean;
  /** Bytes of frames that the server's socket has given out. */
  readonly received: number;
  /** Of these, bytes of frames that are not parsed yet. */
  readonly held: number;
  /** Echoes that the client has not taken. */
  readonly answers: number;
  /** The raw client's own: bytes it has sent, and those its socket still holds. Null for the browser, which knows its own. */
  readonly sent: number | null;
  readonly unsent: number | null;
  /** The transport is gone. */
  readonly gone: boolean;
}

export interface Verdict {
  readonly connection: number;
  readonly client: ClientName;
  readonly clean: boolean;
  readonly code: number;
  readonly reason: string;
  readonly cause: { readonly code: string; readonly closeCode: number; readonly section: string; readonly message: string } | null;
}

export interface IllegalChoice {
  readonly name: string;
  readonly label: string;
  /** What is written, in hex. */
  readonly bytes: string;
}

export type ToPage =
  | { readonly type: 'hello'; readonly token: string; readonly illegal: readonly IllegalChoice[] }
  | { readonly type: 'lines'; readonly lines: readonly Line[]; readonly dropped: number }
  | ({ readonly type: 'connection' } & Snapshot)
  | ({ readonly type: 'verdict' } & Verdict)
  | { readonly type: 'problem'; readonly message: string };
