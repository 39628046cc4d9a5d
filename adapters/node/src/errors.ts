/**
 * Node's errors as the codes of `EndpointError`.
 */
export { connectError, listenError } from '@ferrywire/driver/adapter';
