/**
 * `@ferrywire/conformance`: WebSocket conformance cases as data, a runner over any byte stream, targets in process and over the wire, and
 * reports. The 517 cases are those of the Autobahn suite, under their ids.
 *
 * ```ts
 * import { collect, runCases, serverUrl } from '@ferrywire/conformance';
 * const results = await collect(runCases(serverUrl('ws://127.0.0.1:8080'), { include: ['1.*'] }));
 * ```
 */
export type { RequestExtras } from './asked.ts';
export type {
  Case,
  CaseEvent,
  CaseLimit,
  CloseExpectation,
  CloseVerdict,
  DeflateParameters,
  DeflatePolicy,
  Expectation,
  Opening,
  Step,
  Verdict,
} from './case.ts';
export { cases, extraCases } from './cases/index.ts';
export type { Channel, ChannelEvents, Scheduler } from './channel.ts';
export { realTime } from './channel.ts';
export type { DeflateAgreement, SenderParameters } from './deflate.ts';
export { explainCase } from './describe.ts';
export { escaped } from './escape.ts';
export type { InProcessTarget, Subject } from './harness.ts';
export type { Payload } from './payload.ts';
export type { Counts, Report } from './report.ts';
export { countVerdicts, makeReport, readReports, reportJson, resultLine, summaryLine } from './report.ts';
export { reportHtml } from './report-html.ts';
export type { JudgedReport } from './report-junit.ts';
export { junitXml } from './report-junit.ts';
export type { CaseResult } from './result.ts';
export { isFailure, isSpotless } from './result.ts';
export type { RunOptions } from './run.ts';
export { collect, runCases, selectedCases } from './run.ts';
export type { RunSettings } from './runner.ts';
export { CaseRun } from './runner.ts';
export { parsePatterns, selectCases, unmatchedPatterns } from './select.ts';
export type { Split } from './split.ts';
export { singleBytes, whole } from './split.ts';
export type { Baseline, Standing } from './standing.ts';
export { baselineFor, standingOf } from './standing.ts';
export type { ActiveTarget, PassiveTarget, Target, TargetSettings } from './target.ts';
export { TargetUnavailable } from './target.ts';
export type { CommandOptions } from './targets/child-process.ts';
export { clientCommand, serverCommand } from './targets/child-process.ts';
export type { ClientListenerOptions } from './targets/client-listener.ts';
export { clientListener } from './targets/client-listener.ts';
export { http2Server } from './targets/http2-server.ts';
export type { InProcessOptions } from './targets/in-process.ts';
export { inProcess } from './targets/in-process.ts';
export type { ServerUrlOptions } from './targets/server-url.ts';
export { serverUrl } from './targets/server-url.ts';
export { VirtualTime } from './virtual-time.ts';
