/** The embeddings in `examples/`, as they stand there, against ws as the client. */
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { closeFrame, masked, RawClient, requestFor, text } from './helpers.ts';

const files: { readonly [file: string]: () => Promise<{ readonly server: Server }> } = {
  'embed-net.ts': () => import('../examples/embed-net.ts'),
  'embed-framework.ts': () => import('../examples/embed-framework.ts'),
};

for (const [file, load] of Object.entries(files)) {
  describe(file, () => {
    let server: Server;
    let port = 0;
    beforeEach(async () => {
      process.env.PORT = '0';
      ({ server } = await load());
      if (!server.listening) {
        if (port === 0) await once(server, 'listening');
        else {
          server.listen(0, '127.0.0.1');
          await once(server, 'listening');
        }
      }
      port = (server.address() as AddressInfo).port;
    });
    afterEach(() => new Promise((resolve) => server.close(resolve)));

    it('echoes what ws sends, and closes cleanly', async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
      await once(socket, 'open');
      for (const message of ['hello', 'x'.repeat(300_000), Buffer.from([1, 2, 3]), Buffer.alloc(700_000, 5)]) {
        socket.send(message);
        const [data, isBinary] = await once(socket, 'message');
        expect(isBinary).toBe(typeof message !== 'string');
        expect(Buffer.from(data).equals(Buffer.from(message))).toBe(true);
      }
      socket.close(3000, 'enough');
      const [code, reason] = await once(socket, 'close');
      expect([code, String(reason)]).toEqual([3000, 'enough']);
    });

    it('takes frames glued to the head, answers a flood without losing a message, and refuses plain HTTP', async () => {
      const client = await RawClient.upgrade(port, { glued: text('glued') });
      expect(await client.text()).toBe('glued');
      const payload = new Uint8Array(60_000).fill(1);
      client.socket.pause();
      for (let index = 0; index < 100; index++) client.write(masked({ opcode: 2, payload }));
      client.socket.resume();
      for (let index = 0; index < 100; index++) expect((await client.frame())?.payload.length).toBe(payload.length);
      client.write(closeFrame(1000));
      expect(await client.closeCode()).toBe(1000);
      expect(await client.frame()).toBeNull();
      client.socket.end();
      expect(await client.closed).toBeNull();
      const plain = await RawClient.open(port);
      plain.write(requestFor().replace('Version: 13', 'Version: 8'));
      expect(await plain.head()).toContain(' 426 ');
      await plain.rest();
      plain.socket.end();
      await plain.closed;
      for (const version of ['1.0', '0.9', '2.0']) {
        const other = await RawClient.open(port);
        other.write(requestFor().replace('HTTP/1.1', `HTTP/${version}`));
        expect(await other.head()).toContain(' 505 ');
        await other.rest();
        other.socket.end();
        await other.closed;
      }
    });
  });
}
