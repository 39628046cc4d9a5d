/**
 * Node's errors as the codes of `EndpointError`.
 */
export { checkPermission, connectError, listenError } from '@ferrywire/driver/adapter';
