/** The page's style sheet: one column on a telephone, two beside each other where there is room, light and dark. */
export const style: string = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f3f5f8; --ink: #16202b; --soft: #465564; --line: #8795a5;
  --accent: #0b57a4; --on-accent: #ffffff; --in: #0a5c36; --out: #7a2e8a; --lit: #ffd75e; --on-lit: #16202b;
  font: 16px/1.5 system-ui, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10161d; --panel: #1a232d; --ink: #e6edf5; --soft: #b3c0cd; --line: #65758a;
    --accent: #7db8f5; --on-accent: #0c141c; --in: #74d8a4; --out: #e0a3ef; --lit: #ffd75e; --on-lit: #16202b;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 1rem; background: var(--ground); color: var(--ink); overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 0 0 .5rem; font-size: 1.1rem; }
p { margin: .25rem 0 .5rem; }
main { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
section { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; min-width: 0; }
form, .row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: 0 0 .6rem; }
fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
legend { float: left; margin-right: 1rem; font-weight: 600; }
label.field { display: flex; flex-direction: column; flex: 1 1 9rem; min-width: 0; font-size: .9rem; color: var(--soft); }
label.short { flex: 0 1 6rem; }
input, button { font: inherit; color: inherit; }
input:not([type=radio]) { width: 100%; padding: .35rem .5rem; border: 1px solid var(--line); border-radius: .3rem; background: var(--ground); }
button { min-height: 2.4rem; padding: .35rem .8rem; border: 1px solid var(--accent); border-radius: .3rem; background: var(--accent); color: var(--on-accent); cursor: pointer; }
button.quiet { background: transparent; color: var(--accent); }
button[aria-disabled=true] { background: transparent; color: var(--soft); border-color: var(--line); cursor: not-allowed; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.hint { font-size: .9rem; color: var(--soft); }
code { font-family: ui-monospace, monospace; font-size: .9em; }
#problem { font-weight: 600; }
#problem:empty { display: none; }
#machine { display: block; width: 100%; max-width: 34rem; height: auto; margin: 0 auto; }
#machine text { fill: var(--ink); font: 12px system-ui, sans-serif; }
#machine .label { fill: var(--soft); font-size: 11px; }
#machine .state rect { fill: var(--ground); stroke: var(--ink); stroke-width: 1.2; }
#machine .group { fill: none; stroke: var(--line); stroke-dasharray: 4 3; }
#machine .arrow { stroke: var(--ink); stroke-width: 1.2; }
#machine .tip { fill: var(--ink); }
#machine .lit rect { fill: var(--lit); stroke-width: 3; }
#machine .lit text { fill: var(--on-lit); font-weight: 700; }
dl.meters { display: grid; grid-template-columns: minmax(0, 1fr); margin: 0; }
dl.meters dt { font-size: .9rem; color: var(--soft); }
dl.meters dd { margin: 0 0 .4rem; display: flex; gap: .6rem; align-items: center; }
meter { flex: 1 1 8rem; min-width: 0; height: 1.1rem; }
dl.meters output { flex: 0 0 8.5rem; text-align: right; font-variant-numeric: tabular-nums; }
#illegal { list-style: none; margin: 0; padding: 0; display: grid; gap: .4rem; }
#illegal .hex { color: var(--soft); }
#log-box { max-height: 28rem; overflow: auto; border: 1px solid var(--line); border-radius: .3rem; background: var(--ground); padding: .25rem .5rem; }
#log { list-style: none; margin: 0; padding: 0; font-size: .95rem; }
#log li { border-bottom: 1px solid var(--panel); padding: .15rem 0; }
#log summary { cursor: pointer; }
#log .who, #log .at, #log .hex, #log .note { color: var(--soft); }
#log .at { font-variant-numeric: tabular-nums; }
#log .in .said { color: var(--in); }
#log .out .said { color: var(--out); }
#log .note { font-style: italic; }
table { border-collapse: collapse; width: 100%; margin: .3rem 0; font-size: .9rem; }
caption { text-align: left; color: var(--soft); }
th, td { border: 1px solid var(--line); padding: .15rem .4rem; text-align: left; vertical-align: top; font-weight: 400; }
thead th { font-weight: 600; }
@media (min-width: 60rem) {
  main { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); align-items: start; }
  #rules { grid-row: span 2; }
  #log-box { max-height: 34rem; }
}
@media (prefers-reduced-motion: no-preference) { #machine .state rect { transition: fill .2s; } }
`;
