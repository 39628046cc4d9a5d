/**
 * A case in words, made from its data: what the harness does, what has to come back, how the connection has to end.
 */
import type { Case, CaseEvent, DeflatePolicy, Opening, Step } from './case.ts';
import { escaped } from './escape.ts';
import { describePayload } from './payload.ts';

const names = new Map([
  [0, 'continuation'],
  [1, 'text'],
  [2, 'binary'],
  [8, 'close'],
  [9, 'ping'],
  [10, 'pong'],
]);

function opcodeName(opcode: number): string {
  return names.get(opcode) ?? `opcode ${opcode}`;
}

function cut(bytes: number): string {
  return `in writes of ${bytes} byte${bytes === 1 ? '' : 's'}`;
}

export function describeStep(step: Step): string {
  switch (step.do) {
    case 'frame': {
      const marks = [
        `FIN ${step.fin ? 1 : 0}`,
        ...(step.rsv === 0 ? [] : [`RSV ${step.rsv}`]),
        ...(step.claim === undefined ? [] : [`claims ${step.claim} bytes`]),
        ...(step.lengthBytes === undefined ? [] : [`length in ${step.lengthBytes} extra bytes`]),
        ...(step.masked === undefined ? [] : [step.masked ? 'masked' : 'not masked']),
      ];
      const how = step.chop === null ? (step.ownWrite ? ', in a write of its own' : '') : `, ${cut(step.chop)}`;
      return `send a ${opcodeName(step.opcode)} frame (${marks.join(', ')}): ${describePayload(step.payload)}${how}`;
    }
    case 'message': {
      const how = step.fragment === null ? '' : `, in frames of ${step.fragment} bytes`;
      return `send a ${step.kind} message: ${describePayload(step.payload)}${how}`;
    }
    case 'header':
      return `send the header of a ${opcodeName(step.opcode)} frame (FIN ${step.fin ? 1 : 0}) of ${step.size} bytes${step.chop === null ? '' : `, ${cut(step.chop)}`}`;
    case 'data':
      return `send more of its payload: ${describePayload(step.payload)}`;
    case 'raw':
      return `write ${describePayload(step.payload)}${step.chop === null ? '' : `, ${cut(step.chop)}`}`;
    case 'close':
      return `send a close frame with ${step.code === null ? 'no code' : `code ${step.code}`}${step.reason.size === 0 ? '' : `, then ${describePayload(step.reason)}`}`;
    case 'pause':
      return `wait ${step.ms} ms${step.tag === null ? '' : ` (wait ${step.tag})`}`;
    case 'await':
      return step.what === 'silence' ? `expect nothing for ${step.ms} ms` : `wait for a ${step.what}, at most ${step.ms} ms`;
    case 'exchange': {
      const what =
        step.source.from === 'payload'
          ? describePayload(step.source.payload)
          : `${step.source.size} ${step.kind === 'text' ? 'characters' : 'bytes'} of ${step.source.corpus}`;
      const count = step.count === step.fullCount ? `${step.count}` : `${step.count} (${step.fullCount} with --full)`;
      const how = `${step.compress ? ', compressed' : ''}${step.fragment === null ? '' : `, in frames of ${step.fragment} bytes`}`;
      return `send ${count} ${step.kind} messages, each when the last came back: ${what}${how}`;
    }
    case 'call':
      return `call ${step.name}(${step.args.map((arg) => JSON.stringify(arg)).join(', ')})`;
    case 'end':
      return 'end the transport';
    case 'reset':
      return 'reset the transport';
    default:
      return step satisfies never;
  }
}

function describeEvent(event: CaseEvent): string {
  if (event.type === 'stillOpen') return `the connection still open after wait ${event.tag}`;
  return `${event.type === 'message' ? `${event.kind} message` : 'pong'}: ${describePayload(event.payload)}`;
}

/** What the harness asks of a client besides what that has offered for the harness itself. */
function describePolicy({ clientNoContextTakeover, clientMaxWindowBits }: DeflatePolicy): string {
  const parts = ['permessage-deflate'];
  if (clientNoContextTakeover) parts.push('client_no_context_takeover');
  if (clientMaxWindowBits !== null) parts.push(`client_max_window_bits=${clientMaxWindowBits}`);
  return parts.join('; ');
}

function describeClose({ close, recommended }: Case): string {
  const codes = close.codes.length === 1 ? `code ${close.codes[0]}` : `one of the codes ${close.codes.join(', ')}`;
  const but = (close.othersBut ?? []).map((code) => ` but ${code}`).join('');
  const others = close.othersBut === undefined ? '' : `; another${but} is NON-STRICT`;
  const who = close.startedBy === 'harness' ? 'the harness starts the end' : 'the subject has to fail the connection';
  return `${who}; right in the subject's close frame: ${codes}, or no code${close.mayRefuse === true ? ' (1002, which refuses ours, is NON-STRICT)' : ''}${others}${close.clean ? '; both close frames are needed, and the server ends the transport' : ''}${recommended ? '; another code is NON-STRICT, and who takes what was sent has to answer the close frame of the harness, or end the transport' : ''}`;
}

/** What is right where no connection comes of it: then no frame is sent, and no close awaited. */
function describeRefusal({ onlyFor, opening }: Case & { readonly opening: Opening }): string[] {
  const { statuses, ordinary, namesVersion, preferred, pipelined } = opening;
  const lines: string[] = [];
  if (onlyFor !== 'client') {
    const which = statuses.length === 0 ? 'a status of 400 or more' : `status ${statuses.join(' or ')}`;
    const version = namesVersion === true ? ', with Sec-WebSocket-Version: 13' : '';
    const page = ordinary === true ? '; a page, or a redirect, as for any request of HTTP, will do as well' : '';
    const ending = pipelined ? ', or ends the transport' : '';
    lines.push(`${preferred === 'accepted' ? 'NON-STRICT' : 'OK'}: the server answers with ${which}${version}${ending}${page}`);
    const less = [
      ...(statuses.length === 0 ? [] : ['another status of 400 or more']),
      ...(namesVersion === true ? ['a refusal that does not name the version'] : []),
      ...(pipelined ? [] : ['the end of the transport without an answer']),
    ];
    if (less.length > 0) lines.push(`NON-STRICT: ${less.join(', or ')}`);
  }
  if (onlyFor !== 'server') lines.push('OK: the client ends the connection, and sends nothing more');
  return lines.map((line) => `  - ${line}`);
}

/** Lines for people. */
export function explainCase(test: Case): string[] {
  const lines = [`${test.id}  ${test.title}`, `      ${test.sections.join(', ')}`, '', 'Steps'];
  if (test.opening !== null) {
    lines.push(
      `  - open with a handshake of its own${test.opening.pipelined ? ', the first frames with it' : ''}; it ${test.opening.expect === 'either' ? 'may be accepted or refused' : `has to be ${test.opening.expect}`}`,
    );
    lines.push(...test.opening.lines.map((line) => `      ${escaped(line)}`));
    if (test.opening.expect === 'refused') return [...lines, '', 'Expected', ...describeRefusal({ ...test, opening: test.opening })];
    if (test.opening.noBody === true) lines.push('  - the response has neither Content-Length nor Transfer-Encoding');
    if (test.opening.freshKey === true) lines.push('  - the key is not that of an earlier connection');
  }
  if (test.maxMessageSize !== null) lines.push(`  - limit messages to ${test.maxMessageSize} bytes`);
  if (test.deflate !== null) {
    lines.push(`  - agree on permessage-deflate; as a client, offer ${test.deflate.offers.join(', or ')}`);
    lines.push(`  - as a server, answer the first of these that fits an offer: ${test.deflate.policies.map(describePolicy).join(', or ')}`);
  }
  lines.push(...test.steps.map((step) => `  - ${describeStep(step)}`));
  const { ms, action } = test.limit;
  lines.push(`  - after ${ms} ms, ${action === 'fail' ? 'fail the connection with 1001' : 'start the closing handshake'}`, '', 'Expected');
  if (test.expect === 'informational') lines.push('  - nothing: the result is for information');
  else if (test.expect === 'exchange') lines.push('  - OK: every message comes back as it went');
  else {
    for (const { grade, events, sparesPongs } of test.expect) {
      if (sparesPongs === true) {
        lines.push(`  - ${grade}: the same with pongs missing, but not the last`);
        continue;
      }
      const what = events.length === 0 ? 'no message and no pong' : events.map(describeEvent).join('; ');
      lines.push(`  - ${test.schedulingOnly ? 'OK, either' : grade}: ${what}`);
    }
  }
  if (test.opening?.expect === 'either') lines.push(...describeRefusal({ ...test, opening: test.opening }));
  if (test.freshMasks === true) lines.push('  - a new mask for each frame of the subject');
  lines.push('', 'Close', `  - ${describeClose(test)}`);
  return lines;
}
