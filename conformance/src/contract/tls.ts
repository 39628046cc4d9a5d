/** TLS: contents and closing as without it, and one clear error where it fails. */
import type { EndpointErrorCode } from '@ferrywire/driver';
import type { AdapterUnderTest } from './adapter.ts';
import { type ContractCase, contractCase, equal, failsWith } from './case.ts';
import { certificate } from './certificate.ts';
import { digest, pattern, type Scope, type Serving } from './support.ts';
import { until, within } from './wait.ts';

async function serve(scope: Scope): Promise<Serving & { readonly ca: string; readonly local: string }> {
  const { key, cert } = await certificate();
  const serving = await scope.serve({ tls: { key, cert } });
  return { ...serving, ca: cert, local: serving.url.replace('127.0.0.1', 'localhost') };
}

async function contents(scope: Scope): Promise<void> {
  const { ca, url, opened, ends } = await serve(scope);
  equal(url.startsWith('wss://'), true, 'a wss: URL');
  let received = 0;
  let wrong = 0;
  const sizes = [0, 1, 125, 126, 16_384, 65_536, 1_000_000, 3_000_000];
  const client = await scope.connect(url, {
    servername: 'localhost',
    tls: { ca },
    handlers: {
      onMessage(peer, data) {
        if (digest(data) !== digest(pattern(sizes[received] ?? 0, received++))) wrong++;
        // A slow reader, so that both sides stall.
        peer.pause();
        setImmediate(() => peer.resume());
      },
    },
  });
  await opened.next('open');
  for (const [index, size] of sizes.entries()) client.peer.send(pattern(size, index));
  await until(() => received === sizes.length, 'all echoes');
  equal(wrong, 0, 'messages that came back changed');
  client.peer.close(1000);
  const [local, remote] = [await client.ends.next("the client's end"), await ends.next("the server's end")];
  equal([local.clean, remote.clean], [true, true], 'clean ends');
}

async function closedByTheServer(scope: Scope): Promise<void> {
  const { ca, url, opened, ends } = await serve(scope);
  const client = await scope.connect(url, { servername: 'localhost', tls: { ca } });
  const peer = await opened.next('open');
  for (let index = 0; index < 50; index++) peer.send(pattern(50_000, index));
  peer.close(4000);
  equal((await client.ends.next("the client's end")).clean, true, "the client's end");
  equal(client.messages.count, 50, 'messages before the end');
  equal((await ends.next("the server's end")).clean, true, "the server's end");
}

async function refused(scope: Scope): Promise<void> {
  const { adapter } = scope;
  const { ca, url, port, opened } = await serve(scope);
  const dial = (to: string, options: object, code: EndpointErrorCode): Promise<unknown> =>
    failsWith(within(adapter.connect(to, { handlers: {}, ...options }), 'connect to fail'), code);
  await dial(url, { servername: 'localhost' }, 'WS_CONNECT_TLS');
  await dial(url, { servername: 'example.com', tls: { ca } }, 'WS_CONNECT_TLS');
  await dial(url, { tls: { ca } }, 'WS_CONNECT_TLS');
  const plain = await scope.serve();
  await dial(plain.url.replace('ws:', 'wss:'), { servername: 'localhost', tls: { ca } }, 'WS_CONNECT_TLS');
  // Somebody who does not speak TLS, and somebody who says nothing at all, harm nobody.
  const garbage = await scope.raw(port, false);
  garbage.text('GET / HTTP/1.1\r\n\r\n');
  await within(garbage.finished, 'the end of a connection without TLS');
  await scope.raw(port, false);
  const client = await scope.connect(url, { servername: 'localhost', tls: { ca } });
  client.peer.send('still here');
  equal(await client.messages.next('the echo'), 'still here', 'the echo');
  equal(opened.count, 1, 'connections opened');
}

/** The opening deadline covers TLS: a server that does not answer its hello. */
async function silence(scope: Scope): Promise<void> {
  const url = await scope.rawServer(() => {});
  const connecting = scope.adapter.connect(url.replace('ws:', 'wss:'), { handlers: {}, timeouts: { opening: 100 } });
  await failsWith(within(connecting, 'connect to fail'), 'WS_CONNECT_TIMEOUT');
}

/** Ends in the middle: TCP ends without a close frame and without TLS's own end. */
async function torn(scope: Scope): Promise<void> {
  const { ca, url, opened } = await serve(scope);
  const client = await scope.connect(url, { servername: 'localhost', tls: { ca } });
  (await opened.next('open')).abort();
  equal((await client.ends.next("the client's end")).code, 1006, 'the code');
}

export function tlsCases(adapter: AdapterUnderTest): ContractCase[] {
  const named = (name: string, body: (scope: Scope) => Promise<void>): ContractCase => contractCase(adapter, `tls: ${name}`, body);
  return [
    named('contents up to 3 MB with a slow reader', contents),
    named('a server that closes behind much data', closedByTheServer),
    named('failures', refused),
    // Over streams, dialling is somebody else's.
    ...(adapter.capabilities.tls ? [named('a server that says nothing', silence)] : []),
    named('an abrupt end', torn),
  ];
}
