/**
 * Reports as one page that stands alone: runs side by side, a row a case. It opens from a file, has no script, loads nothing, and holds no times,
 * so that the pages of two runs differ in what is different.
 */
import { marked } from './markup.ts';
import type { Report } from './report.ts';
import { type CaseResult, isSpotless } from './result.ts';
import { compareIds } from './run.ts';

const style = `
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem; border-bottom: 1px solid #8884; }
thead th { position: sticky; top: 0; background: Canvas; }
tbody th { font-weight: normal; }
td.count { font-variant-numeric: tabular-nums; }
small { display: block; opacity: 0.8; overflow-wrap: anywhere; }
.OK b, .INFORMATIONAL b { color: light-dark(#17692c, #6fcf85); }
.NON-STRICT b, .UNIMPLEMENTED b { color: light-dark(#7a5200, #e6b84d); }
.FAILED b { color: light-dark(#b3141f, #ff7b82); }
body:has(#rest:checked) .fine { display: none; }
`;

/** Headings of the groups, by the first part of an id. */
const groups: ReadonlyMap<string, string> = new Map([
  ['1', 'Frames'],
  ['2', 'Pings and pongs'],
  ['3', 'Reserved bits'],
  ['4', 'Opcodes'],
  ['5', 'Fragments'],
  ['6', 'UTF-8'],
  ['7', 'Closing'],
  ['9', 'Limits and volume'],
  ['10', 'Automatic fragmentation'],
  ['12', 'Compression'],
  ['13', 'Compression with parameters'],
  ['F', 'What the original suite never had'],
]);

const counted = ['OK', 'NON-STRICT', 'INFORMATIONAL', 'UNIMPLEMENTED', 'FAILED'] as const;

/** One page that stands alone, with a column for each report. */
export function reportHtml(reports: readonly Report[]): string {
  const byId = reports.map(({ results }) => new Map(results.map((result) => [result.id, result])));
  const known = new Map(reports.flatMap(({ results }) => results.map((result) => [result.id, result])));
  const ids = [...known.keys()].sort(compareIds);
  const names = [...new Set(ids.map(groupOf))];
  const tables = names.map((name) => {
    const rows = ids
      .filter((id) => groupOf(id) === name)
      .flatMap((id) => {
        const first = known.get(id);
        const results = byId.map((run) => run.get(id));
        return first === undefined ? [] : [row(first, results)];
      });
    const fine = rows.every((html) => html.startsWith('<tr class="fine"')) ? ' class="fine"' : '';
    return `<section${fine}>\n<h2>${marked(`${name} ${groups.get(name) ?? ''}`.trim())}</h2>\n${table(['Case', ...reports.map(nameOf)], rows)}</section>\n`;
  });
  const summary = reports.map((report) => {
    const counts = counted.map((verdict) => `<td class="count">${report.counts[verdict]}</td>`);
    const gone = report.gone === undefined ? '' : `<small>gone before the end: ${marked(report.gone)}</small>`;
    return `<tr><td>${marked(nameOf(report))}${gone}</td><td class="count">${report.results.length}</td>${counts.join('')}</tr>\n`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>WebSocket conformance</title>
<style>${style}</style>
</head>
<body>
<h1>WebSocket conformance</h1>
${table(['', 'Cases', ...counted], summary)}<p><label><input type="checkbox" id="rest"> only cases that somebody does not pass</label>.
The number behind a verdict is the code of the subject's close frame.</p>
${tables.join('')}</body>
</html>
`;
}

function groupOf(id: string): string {
  return id.split('.')[0] ?? id;
}

function nameOf({ target, role }: Report): string {
  return `${target} (${role})`;
}

function table(heads: readonly string[], rows: readonly string[]): string {
  const cells = heads.map((head) => `<th scope="col">${marked(head)}</th>`);
  return `<table>\n<thead><tr>${cells.join('')}</tr></thead>\n<tbody>\n${rows.join('')}</tbody>\n</table>\n`;
}

function row({ id, title, sections }: CaseResult, results: readonly (CaseResult | undefined)[]): string {
  const fine = results.every((result) => result === undefined || isSpotless(result)) ? ' class="fine"' : '';
  const head = `<th scope="row" id="${marked(id)}">${marked(id)} ${marked(title)}<small>${sections.map(link).join(', ')}</small></th>`;
  return `<tr${fine}>${head}${results.map(cell).join('')}</tr>\n`;
}

function cell(result: CaseResult | undefined): string {
  if (result === undefined) return '<td></td>';
  const { verdict, remoteCloseCode, reason } = result;
  const code = remoteCloseCode === null ? '' : ` ${remoteCloseCode}`;
  return `<td class="${verdict}"><b>${verdict}</b>${code}${reason === null ? '' : `<small>${marked(reason)}</small>`}</td>`;
}

/** To the section of the RFC. */
function link(section: string): string {
  const [, rfc, number] = /^RFC (\d+) ([\d.]+)$/.exec(section) ?? [];
  if (rfc === undefined) return marked(section);
  return `<a href="https://www.rfc-editor.org/rfc/rfc${rfc}#section-${number}">${marked(section)}</a>`;
}
