/**
 * What arrives on the control channel, checked: a command is what its type says, or null. The page is ours, but anything that reaches the
 * port can open the channel.
 */
import type { ClientName, Command } from './browser/messages.ts';

const MOST_TEXT = 65_536;
const MOST_PARTS = 100;
const MOST_FILL = 256;

type Fields = { readonly [name: string]: unknown };

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MOST_TEXT;
}
function isCount(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;
}
function clientOf(value: unknown): ClientName | null {
  return value === 'browser' || value === 'raw' ? value : null;
}

function forClient(fields: Fields, client: ClientName): Command | null {
  const { do: action, text, hex, reason, code, parts, messages, size } = fields;
  switch (action) {
    case 'text':
    case 'ping':
      return isText(text) ? { do: action, client, text } : null;
    case 'binary':
      return isText(hex) && /^(?:\s*[0-9a-f]{2})*\s*$/i.test(hex) ? { do: action, client, hex } : null;
    case 'fragments':
      return isText(text) && isCount(parts, MOST_PARTS) ? { do: action, client, text, parts } : null;
    case 'close':
      return isText(reason) && (code === null || typeof code === 'number') ? { do: action, client, code, reason } : null;
    case 'fill':
      return isCount(messages, MOST_FILL) && isCount(size, MOST_TEXT) ? { do: action, client, messages, size } : null;
    case 'pause':
    case 'resume':
      return { do: action, client };
    default:
      return null;
  }
}

export function parseCommand(json: string): Command | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const fields = value as Fields;
  if (fields.do === 'connect') return isText(fields.subprotocol) ? { do: 'connect', subprotocol: fields.subprotocol } : null;
  if (fields.do === 'illegal') return isText(fields.name) ? { do: 'illegal', name: fields.name } : null;
  const client = clientOf(fields.client);
  return client === null ? null : forClient(fields, client);
}
