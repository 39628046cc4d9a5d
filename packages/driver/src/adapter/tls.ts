/**
 * Options of TLS, judged before anybody is dialled or can connect. Runtimes differ in what they pass over in silence: a key without its
 * certificate, an authority that cannot be read; and two that do not belong together end a process on Deno.
 */
import { checkObject } from '../parts.ts';

/** What is used of the module `node:crypto`. */
export interface CryptoModule {
  readonly X509Certificate: new (pem: string | Uint8Array) => { checkPrivateKey(key: unknown): boolean };
  createPrivateKey(key: { readonly key: string; readonly passphrase?: string }): unknown;
}

/**
 * A certificate and its key come together, and a server has both.
 *
 * @param others options of the runtime's own that stand for them
 */
export function checkTls(tls: unknown, side: 'server' | 'client', others: readonly string[] = []): void {
  checkObject(tls, 'options.tls');
  const options = tls as Readonly<Record<string, unknown>>;
  const has = (name: string): boolean => {
    const value = options[name];
    return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
  };
  if (others.some(has)) return;
  const [key, cert] = [has('key'), has('cert')];
  if (key && !cert) throw new TypeError('options.tls.cert is missing beside options.tls.key');
  if (cert && !key) throw new TypeError('options.tls.key is missing beside options.tls.cert');
  if (side === 'server' && !key) throw new TypeError('options.tls must have a key and a cert');
}

/** Whether they can be read, and belong together. Lists of keys, and forms of the runtime's own, are left to the runtime. */
export function checkCertificates(tls: object, crypto: CryptoModule): void {
  const { key, cert, ca, passphrase } = tls as Readonly<Record<string, unknown>>;
  for (const authority of Array.isArray(ca) ? ca : ca === undefined || ca === null ? [] : [ca]) {
    read('ca', () => new crypto.X509Certificate(authority));
  }
  if (!isPem(key) || !isPem(cert)) return;
  const certificate = read('cert', () => new crypto.X509Certificate(cert));
  // It takes bytes too, and says what is wrong with a passphrase of another type.
  const given = { key, ...(passphrase === undefined ? null : { passphrase }) } as { readonly key: string };
  const secret = read('key', () => crypto.createPrivateKey(given));
  if (!certificate.checkPrivateKey(secret)) throw new TypeError('options.tls.key does not belong to options.tls.cert');
}

function isPem(value: unknown): value is string | Uint8Array {
  return typeof value === 'string' || value instanceof Uint8Array;
}

function read<Result>(option: string, parse: () => Result): Result {
  try {
    return parse();
  } catch (cause) {
    throw new TypeError(`options.tls.${option} cannot be read`, { cause });
  }
}

/** The name to ask a server for (RFC 6066 section 3): never an address, for which it is '', and without the dot that may end a name. */
export function serverNameOf(host: string): string {
  if (host.includes(':') || /^\d+\.\d+\.\d+\.\d+$/.test(host)) return '';
  return host.endsWith('.') ? host.slice(0, -1) : host;
}
