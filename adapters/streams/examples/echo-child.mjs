// The child of the example: sends back every message over its standard output.
import { serve } from './child-process.mjs';

serve({ onMessage: (peer, data) => void peer.send(data) });
