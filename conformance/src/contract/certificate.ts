/** A certificate for `localhost` that nobody trusts but those who are given it. */
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

let made: Promise<Certificate> | null = null;

export function certificate(): Promise<Certificate> {
  // A tool of the repository, like uvu, and no dependency of what is published.
  const { generate } = createRequire(import.meta.url)('selfsigned') as Generator;
  made ??= generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    // SHA-1, which is the default, is refused by rustls (Deno).
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  }).then(({ private: key, cert }) => ({ key, cert }));
  return made;
}
