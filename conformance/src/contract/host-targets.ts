/**
 * An adapter as a target of the conformance cases, over TCP (or HTTP/2) and in this process: an echo server, and a client that visits the harness as
 * one visits an Autobahn fuzzing server.
 */
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import { EndpointError, type Listening, type PeerHandlers } from '@ferrywire/driver';
import type { Case } from '../case.ts';
import { type CaseResult, isSpotless } from '../result.ts';
import type { ActiveTarget, PassiveTarget, TargetSettings } from '../target.ts';
import { clientListener } from '../targets/client-listener.ts';
import { http2Server } from '../targets/http2-server.ts';
import { serverUrl } from '../targets/server-url.ts';
import type { AdapterUnderTest } from './adapter.ts';

/** Larger than any case. */
const limits = { maxMessageSize: 64 * 1024 * 1024 } as const;
const echo: PeerHandlers = { onMessage: (peer, data) => void peer.send(data) };
/** Cases that a client runs at a time. */
const AT_A_TIME = 8;
/** What a time limit decided is asked for once more, with longer ones, as `runCases` does with servers: a busy machine is no fault. */
const PATIENCE = 5;
const MOST_RETRIES = 6;

export function serverTarget(adapter: AdapterUnderTest): ActiveTarget {
  let listening: Listening | null = null;
  let inner: ActiveTarget | null = null;
  return {
    kind: 'active',
    name: `${adapter.name} as a server`,
    role: 'server',
    virtual: false,
    openings: adapter.http2 !== true,
    async open() {
      // Context takeover is what some cases are about; servers demand none by default.
      const policy = { extensions: [serverDeflate({ clientNoContextTakeover: false, serverNoContextTakeover: false })] };
      listening = await adapter.listen({ host: '127.0.0.1', port: 0, limits, policy, handlers: echo });
      inner = (adapter.http2 === true ? http2Server : serverUrl)(listening.url);
      await inner.open();
    },
    run(test, settings) {
      if (inner === null) throw new Error('open() comes first');
      return inner.run(test, settings);
    },
    async close() {
      await inner?.close();
      await listening?.close({ deadline: 0 });
    },
  };
}

export function clientTarget(adapter: AdapterUnderTest): PassiveTarget {
  const http2 = adapter.http2 === true;
  const over = http2 ? { http2 } : {};
  const visit = (url: string, offers: boolean, handlers: PeerHandlers): Promise<void> =>
    new Promise((resolve, reject) => {
      const extensions = offers ? [clientDeflate()] : [];
      adapter.connect(url, { limits, extensions, ...over, handlers: { ...handlers, onEnd: () => resolve() } }).catch(reject);
    });
  const visitAll = async (base: string): Promise<void> => {
    let count = 0;
    await visit(`${base}/getCaseCount`, false, {
      onMessage: (_, text) => {
        count = Number(text);
      },
    });
    let next = 1;
    const work = async (): Promise<void> => {
      while (next <= count) {
        try {
          await visit(`${base}/runCase?case=${next++}&agent=host`, true, echo);
        } catch (error) {
          // A refused handshake may be what the case is about; its verdict is the harness's.
          if (!(error instanceof EndpointError)) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    await visit(`${base}/updateReports?agent=host`, false, {});
  };
  const visitOnce = async (
    cases: readonly Case[],
    settings: TargetSettings,
    signal: AbortSignal | undefined,
    onResult: (result: CaseResult) => void,
  ): Promise<void> => {
    const stop = new AbortController();
    const onAbort = (): void => stop.abort();
    signal?.addEventListener('abort', onAbort, { once: true });
    let failure: unknown = null;
    const listener = clientListener({
      port: 0,
      http2,
      onListening(url) {
        visitAll(url).catch((error: unknown) => {
          failure = error;
          stop.abort();
        });
      },
    });
    await listener.serve(cases, settings, onResult, stop.signal);
    signal?.removeEventListener('abort', onAbort);
    if (failure !== null) throw failure;
  };
  return {
    kind: 'passive',
    name: `${adapter.name} as a client`,
    role: 'client',
    openings: !http2,
    async serve(cases, settings, onResult, signal) {
      const late: Case[] = [];
      await visitOnce(cases, settings, signal, (result) => {
        const test = cases.find(({ id }) => id === result.id);
        if (test !== undefined && result.timed && !isSpotless(result) && late.length < MOST_RETRIES) late.push(test);
        else onResult(result);
      });
      const { timeScale, pauseScale } = settings;
      const patient = { ...settings, timeScale: timeScale * PATIENCE, pauseScale: pauseScale * PATIENCE };
      if (late.length > 0) await visitOnce(late, patient, signal, onResult);
    },
  };
}
