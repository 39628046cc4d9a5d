/** Certificates, for `localhost` unless another name is asked for, that nobody trusts but those who are given them. */
import { createRequire } from 'node:module';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

interface Generator {
  generate(
    attributes: readonly { readonly name: string; readonly value: string }[],
    options: object,
  ): Promise<{ readonly private: string; readonly cert: string }>;
}

const made = new Map<string, Promise<Certificate>>();

export function certificate(name = 'localhost'): Promise<Certificate> {
  const known = made.get(name);
  if (known !== undefined) return known;
  // A tool of the repository, like uvu, and no dependency of what is published.
  const { generate } = createRequire(import.meta.url)('selfsigned') as Generator;
  const making = generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    // SHA-1, which is the default, is refused by rustls (Deno).
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'subjectAltName', altNames: [{ type: 2, value: name }] },
    ],
  }).then(({ private: key, cert }) => ({ key, cert }));
  made.set(name, making);
  return making;
}
