/**
 * The model of a conformance case: data and a short script. A case says what the harness does (steps), what has to come back (expectations,
 * graded), how the connection has to end (RFC 6455 section 7), and how long all of that may take. The runner gives it meaning; nothing here
 * knows a transport or a clock.
 */
import type { MessageKind } from '@ferrywire/core';
import type { CorpusName } from './corpus.ts';
import type { Payload } from './payload.ts';

/** What a case ends with. INFORMATIONAL is never a fault; UNIMPLEMENTED says that an optional part is not there. */
export type Verdict = 'OK' | 'NON-STRICT' | 'INFORMATIONAL' | 'UNIMPLEMENTED' | 'FAILED';

/** How the connection ended, judged apart from the behaviour before it. The words are those of the Autobahn suite. */
export type CloseVerdict = 'OK' | 'FAILED' | 'UNCLEAN' | 'WRONG CODE' | 'FAILED BY CLIENT' | 'INFORMATIONAL';

export type Step =
  /** One frame, legal or not. `rsv` is RSV1 * 4 + RSV2 * 2 + RSV3. `chop` cuts it into writes of that many bytes. */
  | {
      readonly do: 'frame';
      readonly opcode: number;
      readonly fin: boolean;
      readonly rsv: number;
      readonly payload: Payload;
      readonly chop: number | null;
      /** Goes out in a write of its own; otherwise neighbours share one. */
      readonly ownWrite: boolean;
      /** Overrides: the length that is claimed, how it is written, and whether it is masked against the role. */
      readonly claim?: number | bigint;
      readonly lengthBytes?: 0 | 2 | 8;
      readonly masked?: boolean;
    }
  /** A message cut into frames of at most `fragment` bytes; null is one frame. */
  | { readonly do: 'message'; readonly kind: MessageKind; readonly payload: Payload; readonly fragment: number | null }
  /** A frame's header alone, then its payload in pieces. */
  | { readonly do: 'header'; readonly opcode: number; readonly fin: boolean; readonly size: number; readonly chop: number | null }
  | { readonly do: 'data'; readonly payload: Payload }
  /** Bytes as they are: no header, no mask. */
  | { readonly do: 'raw'; readonly payload: Payload; readonly chop: number | null }
  /** Starts the closing handshake with any code, or none; `reason` goes behind it unchecked. */
  | { readonly do: 'close'; readonly code: number | null; readonly reason: Payload }
  /** Waits. With a tag, a connection that is still open afterwards is an event. */
  | { readonly do: 'pause'; readonly ms: number; readonly tag: string | null }
  /** Waits until something has come from the subject; the case fails when it has not after `ms`. `silence` fails when anything came. */
  | { readonly do: 'await'; readonly what: 'message' | 'pong' | 'close' | 'end' | 'silence'; readonly ms: number }
  /** Messages one after the other: the next goes out when the last came back. */
  | {
      readonly do: 'exchange';
      readonly kind: MessageKind;
      readonly source: ExchangeSource;
      readonly count: number;
      readonly fullCount: number;
      readonly fragment: number | null;
      readonly compress: boolean;
    }
  /** A method of the subject, by name; in process only. */
  | { readonly do: 'call'; readonly name: string; readonly args: readonly unknown[] }
  /** Ends the harness's side of the transport: FIN, or RST. */
  | { readonly do: 'end' }
  | { readonly do: 'reset' };

export type ExchangeSource =
  | { readonly from: 'payload'; readonly payload: Payload }
  /** Slices of `size` units that walk round a corpus; a unit is a code point for text and a byte for binary. */
  | { readonly from: 'corpus'; readonly corpus: CorpusName; readonly size: number };

export type CaseEvent =
  | { readonly type: 'message'; readonly kind: MessageKind; readonly payload: Payload }
  | { readonly type: 'pong'; readonly payload: Payload }
  | { readonly type: 'stillOpen'; readonly tag: string };

/** Compared whole and in order with what came. The first that is equal gives the grade. */
export interface Expectation {
  readonly grade: 'OK' | 'NON-STRICT';
  readonly events: readonly CaseEvent[];
  /** Pongs may be missing, but not the last: who has several pings to answer may answer the newest alone (RFC 6455 section 5.5.3). */
  readonly sparesPongs?: true;
}

export interface CloseExpectation {
  /** Who has to start the end: the harness with its close frame, or the subject by failing the connection. */
  readonly startedBy: 'harness' | 'subject';
  /** Right codes in the subject's close frame; no code at all is always right. */
  readonly codes: readonly number[];
  /** Both close frames, and a transport end by the server side. */
  readonly clean: boolean;
  /** The wrong side starting the end makes the behaviour FAILED too. */
  readonly strictSide: boolean;
  /** A wrong code makes the behaviour FAILED too. */
  readonly strictCode: boolean;
  /** The transport has ended before, so that no close frame is missed. */
  readonly frameless: boolean;
  /** RFC 6455 does not know the harness's code, and leaves open what to make of it (section 7.4.2): who refuses it with 1002 is NON-STRICT. */
  readonly mayRefuse?: true;
  /** No document insists on `codes`: any other that may be sent is NON-STRICT, but for these. */
  readonly othersBut?: readonly number[];
}

/** What the harness does when the time is up: fails the connection with 1001, or starts a normal closing handshake. */
export interface CaseLimit {
  readonly ms: number;
  readonly action: 'fail' | 'close';
}

/** One list of parameters of permessage-deflate: what the harness offers as a client, and asks for as a server. */
export interface DeflateParameters {
  /** Values of Sec-WebSocket-Extensions, preferred first. */
  readonly offers: readonly string[];
  /** As a server, tried in order against the client's offers. */
  readonly policies: readonly DeflatePolicy[];
  /** The harness's messages refer to earlier ones: for nothing where it was agreed that they don't (RFC 7692 section 7.1.1). */
  readonly takeover?: true;
}
export interface DeflatePolicy {
  readonly clientNoContextTakeover: boolean;
  /** Asked for only of a client that allows it; null asks nothing. */
  readonly clientMaxWindowBits: number | null;
}

/** An opening handshake of its own; over the wire only. `{host}`, `{path}`, `{key}` and `{accept}` are filled in. */
export interface Opening {
  /** Lines of the harness's request to a server, or of its response to a client. */
  readonly lines: readonly string[];
  /** Refused: a server answers with an error or ends the transport, a client ends it. Either: a server may do what it likes, but one of both. */
  readonly expect: 'accepted' | 'refused' | 'either';
  /** With 'either': the other is allowed, and NON-STRICT; where that is to accept, the case's expectation says so. */
  readonly preferred?: 'accepted' | 'refused';
  /** The key in the lines, where it is none of the harness's. */
  readonly key?: string;
  /** Status codes that fit a refusal; empty takes any from 400 on. */
  readonly statuses: readonly number[];
  /** Whoever speaks no WebSocket there sees a request of HTTP, and may answer it as one: with a page, say (RFC 9110 section 7.8). */
  readonly ordinary?: true;
  /** A refusal has to name version 13 (RFC 6455 section 4.4). */
  readonly namesVersion?: true;
  /** A response that accepts may announce no body (RFC 9110 section 8.6, RFC 9112 section 6.1). */
  readonly noBody?: true;
  /** A client's key may be that of no earlier connection (RFC 6455 section 4.1). */
  readonly freshKey?: true;
  /** The first frames go out with the head, before the other side has answered. */
  readonly pipelined: boolean;
}

export interface Case {
  readonly id: string;
  readonly title: string;
  /** For instance 'RFC 6455 5.5.2'. */
  readonly sections: readonly string[];
  readonly steps: readonly Step[];
  /** 'informational' grades nothing; 'exchange' is OK when every message came back as it went. */
  readonly expect: readonly Expectation[] | 'informational' | 'exchange';
  readonly close: CloseExpectation;
  readonly limit: CaseLimit;
  /** False: the harness does not start the close when what is expected has come, since the steps say when. */
  readonly autoClose: boolean;
  /** Only measures whether an echo overtakes a failure, or a close: OK whichever order, as long as the end comes. */
  readonly schedulingOnly: boolean;
  /** Present = the case needs permessage-deflate. */
  readonly deflate: DeflateParameters | null;
  /** The subject's role, for a case that makes sense for one only. */
  readonly onlyFor: 'client' | 'server' | null;
  /** Null is the usual handshake. */
  readonly opening: Opening | null;
  /** Bytes; the limit that the subject is given, in process. A case that needs one runs nowhere else. */
  readonly maxMessageSize: number | null;
  /** It calls the subject's methods, or sets its limits. */
  readonly inProcessOnly: boolean;
  /**
   * The document asks it of senders only, or as a SHOULD. Who takes it, with the events of an expectation that is graded NON-STRICT, need not fail
   * the connection; who refuses it with another code is NON-STRICT too. Whatever else a subject does has FAILED.
   */
  readonly recommended: boolean;
  /** Two frames in a row with the same mask are a breach. */
  readonly freshMasks?: true;
}
