/**
 * Reports: JSON and back, a baseline, JUnit's XML, the page. The library's functions on results that are made up, and the command on a server
 * that gets better and worse.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  baselineFor,
  type CaseResult,
  junitXml,
  makeReport,
  type Report,
  readReports,
  reportHtml,
  reportJson,
  standingOf,
  type Verdict,
} from '@ferrywire/conformance';
import { describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { cleanUps, command, portOf } from './servers.ts';

function result(id: string, verdict: Verdict, reason: string | null = null): CaseResult {
  return {
    id,
    title: `case <${id}>`,
    sections: ['RFC 6455 5.5.2'],
    role: 'server',
    verdict,
    behavior: verdict,
    behaviorClose: 'OK',
    remoteCloseCode: 1000,
    reason,
    duration: 12,
    timed: false,
    silent: false,
  };
}
const hostile = `<script>alert("1")</script> & \u001b[31m\u0000\ud800\uffff ]]>`;
const report = (...results: CaseResult[]): Report => makeReport('ws://127.0.0.1:9/?a=1&b=<2>', 'server', 1, 1234.6, results);
const mixed = report(
  result('2.10', 'FAILED', hostile),
  result('2.9', 'OK'),
  result('6.4.1', 'NON-STRICT', 'late'),
  result('12.1.1', 'UNIMPLEMENTED', 'not agreed'),
  result('7.1.6', 'INFORMATIONAL'),
);

describe('JSON', () => {
  it('is read back as it was written', () => {
    const other = makeReport('clients of port 0', 'client', 7, 3, [{ ...result('1.1.1', 'OK'), role: 'client', remoteCloseCode: null }]);
    const cut = { ...other, gone: 'node ended with code 7' };
    expect(readReports(reportJson([mixed, other, cut]))).toEqual([mixed, other, cut]);
  });

  it('is refused when it is something else, with what is wrong', () => {
    const good = JSON.parse(reportJson([report(result('1.1.1', 'OK'))]));
    const [run] = good.runs;
    const of = (change: object): string => JSON.stringify({ ...good, runs: [{ ...run, ...change }] });
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['{', /^not JSON$/],
      ['null', /^not a report/],
      ['[]', /^not a report/],
      [JSON.stringify({ ...good, format: 'other/1' }), /^not a report/],
      [JSON.stringify({ ...good, runs: {} }), /^not a report/],
      [JSON.stringify({ ...good, runs: [1] }), /without results/],
      [of({ results: [] }), /without results/],
      [of({ target: 1 }), /target/],
      [of({ role: 'both' }), /role/],
      [of({ seed: '1' }), /seed/],
      [of({ duration: null }), /duration/],
      [of({ gone: 7 }), /why it ended/],
      [of({ results: { '1.1.1': null } }), /1\.1\.1 has no result/],
    ];
    for (const [text, message] of wrong) expect(() => readReports(text), text).toThrow(message);
    for (const name of Object.keys(run.results['1.1.1'])) {
      const changed = of({ results: { '1.1.1': { ...run.results['1.1.1'], [name]: {} } } });
      expect(() => readReports(changed), name).toThrow(`the result of case 1.1.1 has no right ${name}`);
    }
  });
});

describe('a baseline', () => {
  it('has only what became worse fail', () => {
    const grades: readonly Verdict[] = ['OK', 'INFORMATIONAL', 'NON-STRICT', 'UNIMPLEMENTED', 'FAILED'];
    const table = (strict: boolean): string[] =>
      grades.map((before) => grades.map((now) => standingOf(result('1', now), before, strict)[0]).join(''));
    // Rows are of before, columns of now; passed, known, failed.
    expect(table(false)).toEqual(['ppfff', 'ppfff', 'pppff', 'ppppf', 'ppppk']);
    expect(table(true)).toEqual(['ppfff', 'ppfff', 'ppkff', 'ppkkf', 'ppkkk']);
    expect(grades.map((now) => standingOf(result('1', now), null, false))).toEqual(['passed', 'passed', 'passed', 'passed', 'failed']);
    expect(grades.map((now) => standingOf(result('1', now), null, true))).toEqual(['passed', 'passed', 'failed', 'failed', 'failed']);
  });

  it('is the run of the same name, or the only one of the role', () => {
    const named = (target: string, role: 'server' | 'client', verdict: Verdict): Report =>
      makeReport(target, role, 1, 1, [result('1.1.1', verdict)]);
    const reports = [named('a', 'server', 'OK'), named('b', 'server', 'FAILED'), named('c', 'client', 'NON-STRICT')];
    expect(baselineFor(reports, 'b', 'server')?.get('1.1.1')).toBe('FAILED');
    expect(baselineFor(reports, 'other', 'server')).toBeNull();
    expect(baselineFor(reports, 'other', 'client')?.get('1.1.1')).toBe('NON-STRICT');
    expect(baselineFor(reports.slice(0, 2), 'a', 'client')).toBeNull();
  });
});

describe("JUnit's XML", () => {
  const standing = (each: CaseResult) => standingOf(each, each.id === '6.4.1' ? 'FAILED' : null, false);

  it('tells what failed, what was skipped and what did not run', () => {
    const xml = junitXml([{ report: mixed, standing, missing: [{ id: '1.1.1', title: 'empty' }] }]);
    expect(xml.split('\n').slice(0, 3)).toEqual([
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<testsuites>',
      '  <testsuite name="ws://127.0.0.1:9/?a=1&amp;b=&lt;2&gt; (server)" tests="6" failures="1" errors="1" skipped="1" time="1.235">',
    ]);
    const lines = xml.split('\n').filter((line) => line.includes('<testcase'));
    expect(lines.map((line) => / name="(\S+)/.exec(line)?.[1])).toEqual(['2.9', '2.10', '6.4.1', '7.1.6', '12.1.1', '1.1.1']);
    expect(lines[0]).toBe('    <testcase classname="conformance.server.2" name="2.9 case &lt;2.9&gt;" time="0.012"/>');
    expect(lines[2]).toContain('<system-out>NON-STRICT: late [RFC 6455 5.5.2]</system-out>');
    expect(lines[3]).toContain('<system-out>INFORMATIONAL [');
    expect(lines[4]).toContain('<skipped message="UNIMPLEMENTED: not agreed"/>');
    expect(lines[5]).toContain('<error message="did not run"/>');
  });

  it('has an error for a target that was gone before the end, though every case has its result', () => {
    const xml = junitXml([{ report: { ...mixed, gone: 'node <ended>' }, standing, missing: [] }]);
    expect(xml).toContain('tests="6" failures="1" errors="1" skipped="1"');
    const line =
      '    <testcase classname="conformance.server" name="there until the end" time="0.000"><error message="node &lt;ended&gt;"/></testcase>';
    expect(xml.split('\n').filter((each) => each.includes('<error'))).toEqual([line]);
    expect(reportHtml([{ ...mixed, gone: 'node <ended>' }])).toContain('<small>gone before the end: node &lt;ended&gt;</small>');
  });

  it('has what was as bad in the baseline skipped', () => {
    const known = junitXml([{ report: mixed, standing: (each) => standingOf(each, 'FAILED', false), missing: [] }]);
    expect(known).toContain('<skipped message="as in the baseline: FAILED: ');
    expect(known).toContain('failures="0" errors="0" skipped="2"');
  });

  it('shows what a peer said, and obeys none of it', () => {
    const xml = junitXml([{ report: mixed, standing, missing: [] }]);
    expect(xml).toContain(
      'message="FAILED: &lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; \\x1b[31m\\x00\\u{d800}\\u{ffff} ]]&gt;"',
    );
    // What no XML 1.0 may hold, escaped or not.
    expect(xml.replace(/[\n\u0020-\ud7ff\ue000-\ufffd]/gu, '')).toBe('');
    expect(xml.match(/<(?!\/?(testsuites?|testcase|failure|skipped|system-out|error)[ >/]|\?xml )/g)).toBeNull();
  });
});

describe('the page', () => {
  it('has the runs side by side, a row a case, in the order of their numbers', () => {
    const other = makeReport('other', 'client', 1, 9999, [result('2.9', 'FAILED', 'no pong'), result('1.1.1', 'OK')]);
    const html = reportHtml([mixed, other]);
    expect([...html.matchAll(/<th scope="row" id="([^"]+)"/g)].map(([, id]) => id)).toEqual([
      '1.1.1',
      '2.9',
      '2.10',
      '6.4.1',
      '7.1.6',
      '12.1.1',
    ]);
    const row = (id: string): string => html.split('\n').find((line) => line.includes(`id="${id}"`)) ?? '';
    expect(
      row('2.9').endsWith('<td class="OK"><b>OK</b> 1000</td><td class="FAILED"><b>FAILED</b> 1000<small>no pong</small></td></tr>'),
    ).toBe(true);
    expect(row('1.1.1')).toMatch(/^<tr class="fine">.*<\/th><td><\/td><td class="OK"><b>OK<\/b> 1000<\/td><\/tr>$/);
    expect(row('2.10')).toContain('<a href="https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2">RFC 6455 5.5.2</a>');
    expect(html).toContain('<td>other (client)</td><td class="count">2</td><td class="count">1</td>');
    // What the box hides: what every run has passed, or was not graded for.
    const hidden = (of: string, start: string): (string | undefined)[] => [...of.matchAll(new RegExp(start, 'g'))].map(([, what]) => what);
    expect(hidden(html, '<tr class="fine"><th scope="row" id="([^"]+)"')).toEqual(['1.1.1', '7.1.6']);
    expect(hidden(html, '<section class="fine">\n<h2>([^<]+)')).toEqual(['1 Frames', '7 Closing']);
    expect(html).toContain('<section>\n<h2>2 Pings and pongs</h2>');
    const without = reportHtml([report({ ...result('1.1.1', 'OK'), remoteCloseCode: null, sections: ['S1'] })]);
    expect(without).toContain('<small>S1</small></th><td class="OK"><b>OK</b></td></tr>');
    // Times would differ where nothing else does.
    expect(html).toBe(
      reportHtml([
        { ...mixed, duration: 1 },
        { ...other, duration: 2 },
      ]),
    );
  });

  it('loads nothing, runs nothing, and obeys nothing that a peer said', () => {
    const html = reportHtml([mixed]);
    expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
    expect(html).not.toMatch(/<script|<link|<img|src=/);
    expect(html.replace(/[\n\u0020-\ud7ff\ue000-\ufffd]/gu, '')).toBe('');
    expect(html).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; \\x1b[31m');
  });
});

/** Echoes, but for text: that as `text` says. */
async function server(text: 'echo' | 'drop'): Promise<string> {
  const listening = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  await new Promise((resolve) => listening.once('listening', resolve));
  cleanUps.push(() => {
    for (const client of listening.clients) client.terminate();
    listening.close();
  });
  listening.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (data, isBinary) => {
      if (isBinary || text === 'echo') socket.send(data, { binary: isBinary });
      else socket.terminate();
    });
  });
  return `ws://127.0.0.1:${portOf(listening)}`;
}

function folder(): (name: string) => string {
  const path = mkdtempSync(join(tmpdir(), 'conform-'));
  cleanUps.push(() => rmSync(path, { recursive: true }));
  return (name) => join(path, name);
}

describe('the command', () => {
  it('compares with a baseline, from another port too', async () => {
    const file = folder();
    const wanted = ['--cases', '1.1.1,1.1.2,1.2.1,1.2.2'];
    expect((await command('server', await server('drop'), ...wanted, '--json', file('bad.json'))).code).toBe(1);
    expect((await command('server', await server('echo'), ...wanted, '--json', file('good.json'))).code).toBe(0);

    const same = await command('server', await server('drop'), ...wanted, '--baseline', file('bad.json'), '--junit', file('same.xml'));
    expect([same.code, same.out]).toEqual([
      0,
      [expect.stringMatching(/4 cases in .*: 2 OK, 2 FAILED$/), 'against the baseline: 0 worse, 2 known, 0 better'],
    ]);
    expect(readFileSync(file('same.xml'), 'utf8')).toContain('tests="4" failures="0" errors="0" skipped="2"');

    const better = await command('server', await server('echo'), ...wanted, '--baseline', file('bad.json'));
    expect([better.code, better.out.at(-1)]).toEqual([0, 'against the baseline: 0 worse, 0 known, 2 better (1.1.1, 1.1.2)']);

    // The baseline is read before it is written.
    const worse = await command('server', await server('drop'), ...wanted, '--baseline', file('good.json'), '--json', file('good.json'));
    expect([worse.code, worse.out[0], worse.out.at(-1)]).toEqual([
      1,
      expect.stringMatching(/^FAILED +1\.1\.1 /),
      'against the baseline: 2 worse, 0 known, 0 better',
    ]);
    expect(readReports(readFileSync(file('good.json'), 'utf8'))[0]?.counts.FAILED).toBe(2);
  });

  it('judges cases that the baseline has not as ever', async () => {
    const file = folder();
    await command('server', await server('drop'), '--cases', '1.1.1', '--json', file('one.json'));
    const { code, out } = await command('server', await server('drop'), '--cases', '1.1.1,1.1.2', '--baseline', file('one.json'));
    expect([code, out.length, out[0]]).toEqual([1, 3, expect.stringMatching(/^FAILED +1\.1\.2 /)]);
  });

  it('puts the reports of several runs together', async () => {
    const file = folder();
    await command('server', await server('drop'), '--cases', '1.1.1', '--json', file('a.json'));
    await command('server', await server('echo'), '--cases', '1.1.*', '--json', file('b.json'));
    const written = ['--html', file('all.html'), '--junit', file('all.xml'), '--json', file('all.json')];
    const { code, out, err } = await command('report', file('a.json'), file('b.json'), ...written);
    expect([code, out, err]).toEqual([0, [expect.stringMatching(/0 OK, 1 FAILED$/), expect.stringMatching(/8 OK, 0 FAILED$/)], []]);
    expect(readReports(readFileSync(file('all.json'), 'utf8')).map(({ results }) => results.length)).toEqual([1, 8]);
    expect(readFileSync(file('all.html'), 'utf8').match(/<th scope="row"/g)).toHaveLength(8);
    expect(readFileSync(file('all.xml'), 'utf8').match(/<testsuite /g)).toHaveLength(2);
    const merged = await command('report', file('all.json'), '--json', '-');
    expect(merged.out).toHaveLength(1);
    expect(readReports(merged.out[0] ?? '')).toHaveLength(2);
  });

  it('says in one line what is wrong with files', async () => {
    const file = folder();
    writeFileSync(file('other.json'), '{}');
    writeFileSync(file('clients.json'), reportJson([makeReport('c', 'client', 1, 1, [])]));
    const url = await server('echo');
    const wrong: readonly (readonly [string[], RegExp])[] = [
      [['report'], /report takes the files/],
      [['report', file('other.json')], /report needs --html/],
      [['report', file('other.json'), '--html', file('x.html')], /other\.json: not a report/],
      [['report', file('none.json'), '--html', file('x.html')], /no such file/],
      [['report', file('clients.json'), '--html', '/no/such/folder/x.html'], /--html: .*no such file/],
      [['report', file('clients.json'), '--html', file('x.html'), '--seed', '1'], /--seed is not for report/],
      [['server', url, '--cases', '1.1.1', '--baseline', file('none.json')], /no such file/],
      [['server', url, '--cases', '1.1.1', '--baseline', file('clients.json')], /--baseline: no run of .* nor just one of a server/],
      [['server', url, '--cases', '1.1.1', '--junit', '/no/such/folder/x.xml'], /--junit: .*no such file/],
    ];
    for (const [args, message] of wrong) {
      const { code, err } = await command(...args);
      expect([code, err], args.join(' ')).toEqual([2, [expect.stringMatching(message)]]);
    }
  });
});
