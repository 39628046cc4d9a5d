/**
 * `@ferrywire/driver/adapter`: what adapters share besides the pump, so that each of them is its runtime's sockets and little else.
 *
 * No platform is known here either: clock, timers and native text functions are handed in.
 */
export { type AsyncBytes, AsyncTransport } from './adapter/async-transport.ts';
export {
  checkDialPlace,
  type Dialled,
  type DialOptions,
  type DialPlace,
  type DialTarget,
  openClient,
  type Signal,
} from './adapter/client.ts';
export { bufferGone, checkPermission, checkRuntime, connectError, isVerdict, keyError, listenError, tlsError } from './adapter/errors.ts';
export { type BufferModule, type DecoderChoice, type KernelChoice, textKernels } from './adapter/kernels.ts';
export {
  type ListenerParts,
  listening,
  type PlaceOptions,
  placeOf,
  type RefListening,
  type SocketInfo,
  transportIn,
} from './adapter/listening.ts';
export { maskKernels } from './adapter/mask-kernel.ts';
export {
  type ClientOptions,
  checkClient,
  checkConnection,
  checkHost,
  checkPort,
  checkText,
  hostOptions,
  type InputOwnership,
  kernelsOf,
  type Runtime,
  type ServerOptions,
  type SharedOptions,
  serverSettings,
} from './adapter/options.ts';
export {
  type ClockModule,
  type ContextModule,
  markSharedKernel,
  outsideContexts,
  type RuntimeChoice,
  runtimeOf,
  type ThreadsModule,
  type TimersModule,
} from './adapter/runtime.ts';
export { scanKernel } from './adapter/scan-kernel.ts';
export { Entry, type NativeTimers, SharedTimers } from './adapter/timers.ts';
export { type CryptoModule, checkCertificates, checkTls, serverNameOf } from './adapter/tls.ts';
export { type TurnsModule, turnsThatLook } from './adapter/turns.ts';
export { type CloseAll, type Closing, closeOnce } from './closing.ts';
export { apart, deliver, tell, throwOutside } from './outside.ts';
export { checkNumber, checkObject } from './parts.ts';
export { decide } from './pending-request.ts';
export type { Timed } from './types.ts';
