/** A case of the contract: a name and a function that throws when the adapter breaks it. Any test runner can run it. */
import { EndpointError, type EndpointErrorCode } from '@ferrywire/driver';
import type { AdapterUnderTest } from './adapter.ts';
import { Scope } from './support.ts';

export interface ContractCase {
  readonly name: string;
  run(): Promise<void>;
}

export type Body = (scope: Scope) => Promise<void>;

/** Runs the body and takes down what it made, whether it succeeded or not. */
export function contractCase(adapter: AdapterUnderTest, name: string, body: Body): ContractCase {
  return {
    name,
    async run() {
      const scope = new Scope(adapter);
      try {
        await body(scope);
      } catch (error) {
        // What the body found comes first; a clean-up that fails too is its consequence.
        await scope.close().catch(() => {});
        throw error;
      }
      await scope.close();
    },
  };
}

export function equal(actual: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: expected ${b}, got ${a}`);
}

export function ok(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

/** The promise rejects with an `EndpointError` of this code, whose message is one line. */
export async function failsWith(promise: Promise<unknown>, code: EndpointErrorCode): Promise<EndpointError> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof EndpointError)) throw new Error(`not an EndpointError: ${String(error)}`);
    equal(error.code, code, `the code (${error.message})`);
    ok(!error.message.includes('\n'), 'the message has more than one line');
    return error;
  }
  throw new Error(`nothing failed, expected ${code}`);
}
