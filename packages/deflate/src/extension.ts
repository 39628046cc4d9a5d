/**
 * The connection half of the extension: what was agreed, turned into two transforms, and the memory they hold.
 */
import type { Extension, InboundTransform, OutboundTransform } from '@ferrywire/core';
import { DeflateInbound } from './inbound.ts';
import type { Settings } from './options.ts';
import { DeflateOutbound } from './outbound.ts';
import { NAME, RSV1 } from './params.ts';

/** What an agreement means for one end. `windowBits` is the window of whoever compresses. */
export interface Agreement {
  readonly inbound: { readonly takeover: boolean; readonly windowBits: number };
  readonly outbound: { readonly takeover: boolean; readonly windowBits: number };
}

export class DeflateExtension implements Extension {
  readonly name: string = NAME;
  readonly rsv: number = RSV1;
  readonly #settings: Settings;
  readonly #agreement: Agreement;
  readonly #transforms: (DeflateInbound | DeflateOutbound)[] = [];

  constructor(settings: Settings, agreement: Agreement) {
    this.#settings = settings;
    this.#agreement = agreement;
  }

  inbound(): InboundTransform {
    const { takeover, windowBits } = this.#agreement.inbound;
    const transform = new DeflateInbound(this.#settings.codec, takeover, windowBits);
    this.#transforms.push(transform);
    return transform;
  }

  outbound(): OutboundTransform {
    const { takeover, windowBits } = this.#agreement.outbound;
    const transform = new DeflateOutbound(this.#settings, takeover, windowBits);
    this.#transforms.push(transform);
    return transform;
  }

  dispose(): void {
    for (const transform of this.#transforms) transform.dispose();
    this.#transforms.length = 0;
  }
}
