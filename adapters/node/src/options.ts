/**
 * What the three entry points share: options of the protocol with this runtime's clock, timers and kernels.
 */
import type { EndpointHostOptions, ServerSettings } from '@ferrywire/driver';
import * as shared from '@ferrywire/driver/adapter';
import { runtime } from './timers.ts';

export {
  type ClientOptions,
  checkConnection,
  checkNumber,
  checkObject,
  checkPort,
  checkText,
  type ServerOptions,
  type SharedOptions,
} from '@ferrywire/driver/adapter';

export function hostOptions(options: shared.SharedOptions): EndpointHostOptions {
  return shared.hostOptions(runtime, options);
}

/** Throws what the protocol throws for its own options, before anybody has connected. */
export function serverSettings(options: Omit<ServerSettings, 'input'>): ServerSettings {
  return shared.serverSettings(runtime, options, 'transferred');
}
