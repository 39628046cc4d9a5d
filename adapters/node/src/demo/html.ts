/** The page's document. What fills it is in `browser/main.ts`, which looks the elements up by their ids. */

const meter = (id: string, title: string): string =>
  `<dt id="${id}-title">${title}</dt>
        <dd><meter id="${id}" min="0" max="65536" value="0" aria-labelledby="${id}-title">0 bytes</meter> <output id="${id}-value">0 bytes</output></dd>`;

export const html: string = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>ferrywire: an echo endpoint under glass</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/demo/style.css">
  <script type="module" src="/demo/main.js"></script>
</head>
<body>
  <header>
    <h1>ferrywire</h1>
    <p>An echo endpoint at <code id="address"></code>, seen from its own side. Whatever a client sends, the wire log shows.</p>
    <noscript><p>This page needs its script. Any other WebSocket client can talk to the endpoint without it.</p></noscript>
  </header>
  <main>
    <section aria-labelledby="title-client">
      <h2 id="title-client">Client</h2>
      <div class="row">
        <fieldset>
          <legend>Who speaks</legend>
          <label><input type="radio" name="client" id="client-browser" checked> this browser</label>
          <label><input type="radio" name="client" id="client-raw"> the raw peer</label>
        </fieldset>
      </div>
      <p class="hint">The raw peer is a client inside the demo: it sends fragments and pings by itself. Browsers have no way to, so for
        this browser the server sends them and the browser answers.</p>
      <form id="form-connect">
        <label class="field">Subprotocol <input id="subprotocol" autocomplete="off" spellcheck="false" placeholder="none"></label>
        <button id="connect">Connect</button>
      </form>
      <p id="status" role="status"></p>
      <p id="problem" role="alert"></p>
      <h2>Send</h2>
      <form id="form-text">
        <label class="field">Text <input id="text" value="hi" autocomplete="off"></label>
        <button id="send-text">Send text</button>
      </form>
      <form id="form-binary">
        <label class="field">Bytes in hex <input id="binary" value="00 01 fe ff" autocomplete="off" spellcheck="false"></label>
        <button id="send-binary">Send binary</button>
      </form>
      <form id="form-fragments">
        <label class="field">Text in fragments <input id="fragments" value="one two three" autocomplete="off"></label>
        <label class="field short">Fragments <input id="parts" type="number" min="1" max="100" value="3" required></label>
        <button id="send-fragments">Send fragmented</button>
      </form>
      <form id="form-ping">
        <label class="field">Ping payload <input id="ping" value="are you there" maxlength="125" autocomplete="off"></label>
        <button id="send-ping">Ping</button>
      </form>
      <form id="form-close">
        <label class="field short">Close code <input id="code" type="number" min="0" max="65535" value="1000"></label>
        <label class="field">Reason <input id="reason" value="done" maxlength="123" autocomplete="off"></label>
        <button id="send-close">Close</button>
      </form>
    </section>

    <section id="wire" aria-labelledby="title-wire">
      <h2 id="title-wire">Wire log</h2>
      <div class="row">
        <p class="hint">As the server sees it: <code>&lt;</code> came in, <code>&gt;</code> went out. A frame opens to its header bits.</p>
        <button type="button" id="clear" class="quiet">Clear</button>
      </div>
      <div id="log-box" role="log" aria-label="Wire log" tabindex="0"><ol id="log"></ol></div>
    </section>

    <section aria-labelledby="title-machine">
      <h2 id="title-machine">State of the server's connection</h2>
      <svg id="machine" role="img" aria-labelledby="title-machine" aria-describedby="state"></svg>
      <p id="state" role="status">No connection yet.</p>
    </section>

    <section id="rules" aria-labelledby="title-illegal">
      <h2 id="title-illegal">Illegal frames</h2>
      <p class="hint">Each opens a raw connection of its own, writes these bytes after the handshake, and shows what the server says to it.</p>
      <div id="verdict" role="status"><p>Nothing has been sent yet.</p></div>
      <ul id="illegal"></ul>
    </section>

    <section aria-labelledby="title-reader">
      <h2 id="title-reader">The server's reader: <output id="reader">reading</output></h2>
      <div class="row">
        <button type="button" id="pause">Pause</button>
        <button type="button" id="resume">Resume</button>
        <button type="button" id="fill" class="quiet">Send 1 MiB</button>
      </div>
      <p class="hint">A paused reader parses nothing and reads nothing, at any byte. What the client still sends waits in these places:</p>
      <dl class="meters">
        ${meter('unsent', 'In the client, not sent')}
        ${meter('way', 'On the way, in the kernels')}
        ${meter('held', 'Read by the server, not parsed')}
        ${meter('answers', 'Echoes that the client has not taken')}
      </dl>
    </section>
  </main>
</body>
</html>
`;
