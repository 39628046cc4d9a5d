/** One socket over a fake transport in virtual time: tasks run when the test says so, and the test plays the server in bytes. */
import { Connection, type ConnectionOptions, type Role } from '@ferrywire/core';
import { FrameParser, serializeFrame } from '@ferrywire/core/frame';
import { type DriverHandle, drive } from '@ferrywire/driver';
import { type FakeTransport, type FakeTransportOptions, fakeTransport, type VirtualClock, virtualClock } from '@ferrywire/driver/testing';
import {
  type CloseEventLike,
  type Connected,
  type Connector,
  type ConnectRequest,
  defineWebSocket,
  type EventLike,
  type MessageEventLike,
  type WebSocket,
  type WebSocketInit,
  type WebSocketStream,
} from '@ferrywire/websocket';

const encoder = new TextEncoder();
export const utf8 = (text: string): Uint8Array => encoder.encode(text);
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
/** Lets promise callbacks and the streams' internals run; no task of a socket does. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface ManualTasks {
  readonly schedule: (callback: () => void) => void;
  readonly pending: number;
  /** Runs one task. False when there was none. */
  step(): Promise<boolean>;
  /** Runs tasks until none is left. */
  run(): Promise<void>;
}
export function manualTasks(): ManualTasks {
  const queue: (() => void)[] = [];
  const step = async (): Promise<boolean> => {
    await settle();
    const task = queue.shift();
    task?.();
    await settle();
    return task !== undefined;
  };
  return {
    schedule: (callback) => void queue.push(callback),
    get pending() {
      return queue.length;
    },
    step,
    async run() {
      for (let turn = 0; turn < 100_000; turn += 1) if (!(await step())) return;
      throw new Error('manualTasks.run: not idle after 100 000 tasks');
    },
  };
}

export interface Bench {
  readonly clock: VirtualClock;
  readonly tasks: ManualTasks;
  readonly connector: Connector;
  readonly requests: ConnectRequest[];
  readonly transport: FakeTransport;
  /** Only once answered. */
  readonly connection: Connection;
  readonly driver: DriverHandle;
  readonly WebSocket: typeof WebSocket;
  readonly WebSocketStream: typeof WebSocketStream;
  /** The handshake has been done. */
  accept(options?: Partial<ConnectionOptions>, extra?: Partial<Connected>): Promise<void>;
  refuse(error?: unknown): Promise<void>;
  /** A server's frame. */
  feed(opcode: number, payload?: string | Uint8Array, fin?: boolean): void;
  /** The frames the socket has written, unmasked. */
  sent(): { opcode: number; fin: boolean; payload: Uint8Array; text: string }[];
}

export function bench(transportOptions: FakeTransportOptions = {}, connectorOptions: Partial<Connector> = {}): Bench {
  const clock = virtualClock();
  const tasks = manualTasks();
  const requests: ConnectRequest[] = [];
  const waiting: { resolve(connected: Connected): void; reject(error: unknown): void }[] = [];
  const connector: Connector = {
    schedule: tasks.schedule,
    connect(request) {
      requests.push(request);
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    ...connectorOptions,
  };
  const transport = fakeTransport({ clock, ...transportOptions });
  const side = { connection: null as Connection | null, driver: null as DriverHandle | null };
  return {
    clock,
    tasks,
    connector,
    requests,
    transport,
    ...defineWebSocket(connector),
    get connection() {
      if (side.connection === null) throw new Error('bench: not accepted yet');
      return side.connection;
    },
    get driver() {
      if (side.driver === null) throw new Error('bench: not accepted yet');
      return side.driver;
    },
    async accept(options = {}, extra = {}) {
      const connected = connect(clock, transport, 'client', options);
      side.connection = connected.connection;
      side.driver = connected.driver;
      waiting.shift()?.resolve({ connection: connected.connection, host: connected.driver, ...extra });
      await settle();
    },
    async refuse(error = new Error('ECONNREFUSED')) {
      waiting.shift()?.reject(error);
      await settle();
    },
    feed(opcode, payload = '', fin = true) {
      transport.feed(serializeFrame({ opcode, fin, payload: typeof payload === 'string' ? utf8(payload) : payload }));
    },
    sent() {
      return framesOf(transport.written);
    },
  };
}

export function framesOf(bytes: Uint8Array): { opcode: number; fin: boolean; payload: Uint8Array; text: string }[] {
  return [...new FrameParser().push(bytes)].map(({ header, payload }) => ({
    opcode: header.opcode,
    fin: header.fin,
    payload,
    text: Buffer.from(payload).toString(),
  }));
}

export function connect(
  clock: VirtualClock,
  transport: FakeTransport,
  role: Role,
  options: Partial<ConnectionOptions> = {},
): { readonly connection: Connection; readonly driver: DriverHandle } {
  const connection = new Connection({
    role,
    clock: clock.now,
    random: (target) => target.fill(0x5a),
    subprotocol: null,
    extensions: [],
    ...options,
  });
  const driver = drive(connection, transport, { clock: clock.now, timers: clock });
  transport.attach(driver);
  return { connection, driver };
}

/** A socket that is open, and what it dispatched. */
export async function opened(
  options: Partial<ConnectionOptions> = {},
  transportOptions: FakeTransportOptions = {},
  init: WebSocketInit = {},
): Promise<Bench & { readonly ws: WebSocket; readonly log: string[] }> {
  const made = bench(transportOptions);
  const ws = new made.WebSocket('ws://h.example:8080/chat', init);
  const log = logOf(ws);
  await made.accept(options);
  await made.tasks.run();
  log.length = 0;
  return Object.defineProperties({ ws, log } as Bench & { ws: WebSocket; log: string[] }, Object.getOwnPropertyDescriptors(made));
}

/** One line per event: type, state, and what the event says. */
export function logOf(ws: WebSocket): string[] {
  const log: string[] = [];
  const line =
    (tell: (event: EventLike) => string) =>
    (event: EventLike): void => {
      log.push(`${event.type} ${ws.readyState}${tell(event)}`);
    };
  ws.addEventListener(
    'open',
    line(() => ''),
  );
  ws.addEventListener(
    'message',
    line((event) => {
      const { data } = event as MessageEventLike;
      return ` ${typeof data === 'string' ? data : Object.prototype.toString.call(data)}`;
    }),
  );
  ws.addEventListener(
    'error',
    line(() => ''),
  );
  ws.addEventListener(
    'close',
    line((event) => {
      const { wasClean, code, reason } = event as CloseEventLike;
      return ` ${wasClean} ${code} ${JSON.stringify(reason)}`;
    }),
  );
  return log;
}

/** The name of what was thrown: DOMException's, or the class's. */
export function nameOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).name;
  }
  return 'nothing';
}

/** A close frame's payload. */
export function closePayload(code: number, reason: string | Uint8Array = ''): Uint8Array {
  const text = typeof reason === 'string' ? utf8(reason) : reason;
  return Uint8Array.of(code >> 8, code & 0xff, ...text);
}
