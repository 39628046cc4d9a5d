/** Elements of the page by their ids, and elements made with text. Nothing here ever parses HTML: what a peer sends stays text. */

export function byId<Kind extends Element>(id: string, kind: new () => Kind): Kind {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new TypeError(`#${id} is missing`);
  return element;
}

export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  text = '',
  attributes: { readonly [name: string]: string } = {},
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  if (text !== '') element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

export function makeSvg(name: string, attributes: { readonly [name: string]: string | number }, text = ''): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== '') element.textContent = text;
  return element;
}
