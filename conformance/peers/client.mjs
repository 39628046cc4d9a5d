// Echo client under test. Arguments: the harness's URL, an agent's name, and `ws` for that package instead of the global WebSocket.
const args = globalThis.Deno === undefined ? process.argv.slice(2) : Deno.args;
const [base, agent, implementation] = args;
const atATime = 4;

async function loadWs() {
  const { WebSocket: Ws } = await import('ws');
  return class extends Ws {
    constructor(url) {
      super(url, { maxPayload: 64 * 1024 * 1024 });
    }
  };
}

const Socket = implementation === 'ws' ? await loadWs() : WebSocket;

/** Opens a socket and resolves when it has closed, with the texts that came; `echo` sends them back. */
function converse(path, echo) {
  return new Promise((resolve) => {
    const socket = new Socket(base.replace(/\/$/, '') + path);
    const texts = [];
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => {
      if (echo) {
        if (socket.readyState === 1) socket.send(data);
      } else texts.push(data);
    };
    socket.onerror = () => {};
    socket.onclose = () => resolve(texts);
  });
}

const count = JSON.parse((await converse('/getCaseCount', false))[0]);
let next = 1;
async function work() {
  while (next <= count) {
    const number = next;
    next += 1;
    await converse(`/runCase?case=${number}&agent=${agent}`, true);
  }
}
await Promise.all(Array.from({ length: atATime }, work));
await converse(`/updateReports?agent=${agent}`, false);
