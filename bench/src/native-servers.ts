/**
 * What Bun and Deno bring themselves: their WebSocket servers, and plain socket echoes. Their globals are declared by hand, as far as used.
 */
export type Start = (port: number) => Promise<void>;

const hostname = '127.0.0.1';

interface BunSocket {
  data: { rest: Uint8Array[] };
  write(data: Uint8Array): number;
}
interface BunWebSocket {
  send(data: string | Uint8Array): number;
}
interface BunRuntime {
  serve(options: {
    hostname: string;
    port: number;
    fetch(request: Request, server: { upgrade(request: Request): boolean }): Response | undefined;
    websocket: { message(socket: BunWebSocket, data: string | Uint8Array): void };
  }): unknown;
  listen(options: {
    hostname: string;
    port: number;
    socket: { open(socket: BunSocket): void; data(socket: BunSocket, data: Uint8Array): void; drain(socket: BunSocket): void };
  }): unknown;
}
interface DenoConnection {
  read(buffer: Uint8Array): Promise<number | null>;
  write(data: Uint8Array): Promise<number>;
  setNoDelay(on: boolean): void;
}
interface DenoSocket {
  binaryType: string;
  onmessage: ((event: { data: ArrayBuffer | string }) => void) | null;
  send(data: ArrayBuffer | string): void;
}
interface DenoRuntime {
  serve(options: { hostname: string; port: number; onListen(): void }, handler: (request: Request) => Response): unknown;
  upgradeWebSocket(request: Request): { socket: DenoSocket; response: Response };
  listen(options: { hostname: string; port: number }): AsyncIterable<DenoConnection>;
}

function runtime<K extends 'Bun' | 'Deno'>(name: K): K extends 'Bun' ? BunRuntime : DenoRuntime {
  const found = (globalThis as unknown as Record<string, unknown>)[name];
  if (found === undefined) throw new Error(`this is not ${name}`);
  return found as K extends 'Bun' ? BunRuntime : DenoRuntime;
}

export const bunNative: Start = async (port) => {
  runtime('Bun').serve({
    hostname,
    port,
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null, { status: 400 })),
    websocket: { message: (socket, data) => void socket.send(data) },
  });
};

export const bunRaw: Start = async (port) => {
  /** Writes take part of the data when the kernel is full; the rest follows on 'drain'. */
  const flush = (socket: BunSocket): void => {
    const { rest } = socket.data;
    for (let first = rest[0]; first !== undefined; first = rest[0]) {
      const taken = socket.write(first);
      if (taken < first.length) {
        rest[0] = first.subarray(Math.max(0, taken));
        return;
      }
      rest.shift();
    }
  };
  runtime('Bun').listen({
    hostname,
    port,
    socket: {
      open: (socket) => {
        socket.data = { rest: [] };
      },
      data: (socket, data) => {
        socket.data.rest.push(data);
        flush(socket);
      },
      drain: flush,
    },
  });
};

export const denoNative: Start = (port) =>
  new Promise((resolve) => {
    const deno = runtime('Deno');
    deno.serve({ hostname, port, onListen: resolve }, (request) => {
      const { socket, response } = deno.upgradeWebSocket(request);
      socket.binaryType = 'arraybuffer';
      socket.onmessage = ({ data }) => socket.send(data);
      return response;
    });
  });

export const denoRaw: Start = async (port) => {
  const listener = runtime('Deno').listen({ hostname, port });
  const echo = async (connection: DenoConnection): Promise<void> => {
    connection.setNoDelay(true);
    const buffer = new Uint8Array(64 * 1024);
    for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
      for (let at = 0; at < count; ) at += await connection.write(buffer.subarray(at, count));
    }
  };
  void (async () => {
    for await (const connection of listener) echo(connection).catch(() => {});
  })();
};
