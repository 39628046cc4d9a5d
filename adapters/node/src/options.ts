/**
 * What the three entry points share: options of the protocol with this runtime's clock, timers and kernels.
 */
import type { EndpointHostOptions, ServerSettings } from '@ferrywire/driver';
import * as shared from '@ferrywire/driver/adapter';
import { runtime } from './timers.ts';

export {
  type ClientOptions,
  checkClient,
  checkHost,
  checkNumber,
  checkObject,
  checkPort,
  checkText,
  type ServerOptions,
  type SharedOptions,
} from '@ferrywire/driver/adapter';

/** Called by all entry points first: throws `WS_RUNTIME` where the runtime is too old. */
export function hostOptions(options: Parameters<typeof shared.hostOptions>[1]): EndpointHostOptions {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) shared.checkRuntime('Bun', bun, [1, 4]);
  else if (deno !== undefined) shared.checkRuntime('Deno', deno, [2, 9]);
  else shared.checkRuntime('Node', node, [20, 19]);
  return shared.hostOptions(runtime, options);
}

/** Throws what the protocol throws for its own options, before anybody has connected. */
export function serverSettings(options: Omit<ServerSettings, 'input'>): ServerSettings {
  return shared.serverSettings(runtime, options, 'transferred');
}

type Input = NonNullable<ServerSettings['input']>;
const variants = new WeakMap<ServerSettings, Map<Input, ServerSettings>>();
/** The same for connections whose input is owned otherwise: one object for all of them. */
export function withInput(settings: ServerSettings, input: Input): ServerSettings {
  let known = variants.get(settings);
  if (known === undefined) {
    known = new Map();
    variants.set(settings, known);
  }
  let found = known.get(input);
  if (found === undefined) {
    found = { ...settings, input };
    known.set(input, found);
  }
  return found;
}
