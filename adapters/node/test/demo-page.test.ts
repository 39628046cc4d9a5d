/** The page of `npm start` in a real browser: every control is used, and what the page then shows is compared with the protocol's tables. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { violations } from '../../../packages/core/dist/violations.js';
import { illegalInputs } from '../dist/demo/illegal.js';
import { type Demo, startDemo } from '../dist/demo/server.js';
import { findChromium } from './browser.ts';

const found = findChromium();
console.log('path' in found ? `browser test: runs in ${found.path}` : `browser test: skipped, ${found.reason}`);

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** One page, what went wrong on it, and which controls were used. */
class Visitor {
  readonly page: Page;
  readonly problems: string[] = [];
  readonly used = new Set<string>();
  readonly #origin: string;

  constructor(page: Page, origin: string) {
    this.page = page;
    this.#origin = origin;
    page.setDefaultTimeout(60_000);
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.problems.push(`${message.type()}: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.problems.push(`exception: ${error.message}`));
    page.on('requestfailed', (request) => this.problems.push(`failed: ${request.url()}`));
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== this.#origin && !request.url().startsWith('data:'))
        this.problems.push(`external: ${request.url()}`);
    });
    page.on('websocket', (socket) => {
      if (new URL(socket.url()).host !== new URL(this.#origin).host) this.problems.push(`external: ${socket.url()}`);
    });
  }

  async open(): Promise<void> {
    await this.page.goto(this.#origin);
    await this.page.waitForSelector('#connect[aria-disabled=false]');
  }
  async click(id: string): Promise<void> {
    this.used.add(id);
    await this.page.click(`#${id}:not([aria-disabled=true])`);
  }
  async choose(id: string): Promise<void> {
    this.used.add(id);
    await this.page.check(`#${id}`);
  }
  async fill(id: string, value: string): Promise<void> {
    this.used.add(id);
    await this.page.fill(`#${id}`, value);
  }
  /** The newest line of the log with this text, once it is there. Returns the hex beside it. */
  async line(text: string): Promise<string> {
    const line = this.page.locator('#log li', { has: this.page.locator('.said', { hasText: text }) }).last();
    await line.waitFor();
    const hex = line.locator('.hex');
    return (await hex.count()) > 0 ? ((await hex.textContent()) ?? '') : '';
  }
  async until(id: string, text: string): Promise<void> {
    await this.page.locator(`#${id}`).filter({ hasText: text }).waitFor();
  }
  async lit(state: string): Promise<void> {
    await this.page.waitForSelector(`#machine .lit[data-state=${state}]`);
    expect(await this.page.locator('#machine .lit').count()).toBe(1);
    await this.until('state', state);
  }
  /** Until the meters show at least `least` bytes together. */
  async waitForMeters(ids: readonly string[], least: number): Promise<void> {
    await this.page.waitForFunction(
      ([names, from]) => names.reduce((sum, name) => sum + (document.getElementById(name) as HTMLMeterElement).value, 0) >= from,
      [ids, least] as const,
    );
  }
  async waitForMeter(id: string, least: number, most: number): Promise<void> {
    await this.page.waitForFunction(
      ([name, from, to]) => {
        const { value } = document.getElementById(name) as HTMLMeterElement;
        return value >= from && value <= to;
      },
      [id, least, most] as const,
    );
  }
  /** Findings of axe that are serious or worse. */
  async findings(): Promise<string[]> {
    await this.page.evaluate(axeSource);
    const results = await this.page.evaluate(() => (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
    return results.violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  }
  /** Pixels by which the page is wider than the window. */
  async overflow(): Promise<number> {
    return this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  }
}

describe.runIf('path' in found)('the page', () => {
  let demo: Demo;
  let browser: Browser;
  let origin = '';
  beforeAll(async () => {
    demo = await startDemo({ port: 0, host: '127.0.0.1' });
    origin = demo.url.replace(/^ws/, 'http').replace(/\/$/, '');
    const executablePath = 'path' in found ? found.path : '';
    // Chromium's sandbox does not work for root, and the page is ours.
    browser = await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await demo?.close();
  });

  const looks = [
    { name: '1280 px, light', viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
    { name: '375 px, dark', viewport: { width: 375, height: 812 }, colorScheme: 'dark' },
  ] as const;

  for (const { name, ...look } of looks) {
    it(`does what it says with every control: ${name}`, { timeout: 240_000 }, async () => {
      const context = await browser.newContext({ ...look, reducedMotion: 'reduce' });
      const visitor = new Visitor(await context.newPage(), origin);
      await visitor.open();
      expect(await visitor.findings()).toEqual([]);
      expect(await visitor.overflow()).toBeLessThanOrEqual(0);
      await useBrowserClient(visitor);
      await pauseAndResume(visitor);
      await closeFromBrowser(visitor);
      await useRawPeer(visitor);
      // Hundreds of lines: what axe says of one of them it says of all.
      await visitor.click('clear');
      expect(await visitor.page.locator('#log li').count()).toBe(0);
      await sendIllegalFrames(visitor);
      expect(await visitor.overflow()).toBeLessThanOrEqual(0);
      await visitor.page.locator('#log summary').last().click();
      await visitor.page.locator('#log table').waitFor();
      expect(await visitor.findings()).toEqual([]);
      // Nothing that can be pressed was left out.
      const controls = await visitor.page.$$eval('button, input', (elements) => elements.map(({ id }) => id));
      expect(controls.length).toBeGreaterThan(25);
      expect(controls.filter((id) => !visitor.used.has(id))).toEqual([]);
      expect(visitor.problems).toEqual([]);
      await context.close();
    });
  }

  it('is worked with the keyboard alone', { timeout: 180_000 }, async () => {
    const context = await browser.newContext({ viewport: { width: 375, height: 812 } });
    const visitor = new Visitor(await context.newPage(), origin);
    await visitor.open();
    const { page } = visitor;
    const reached: string[] = [];
    const wanted = await page.$$eval('button, input:not([type=radio]), input:checked, #log-box', (elements) =>
      elements.map(({ id }) => id),
    );
    for (let presses = 0; presses < wanted.length; presses++) {
      await page.keyboard.press('Tab');
      const { id, outline } = await page.evaluate(() => {
        const element = document.activeElement as HTMLElement;
        return { id: element.id, outline: getComputedStyle(element).outlineStyle };
      });
      reached.push(id);
      expect([id, outline]).not.toEqual([id, 'none']);
    }
    expect(reached).toEqual(wanted);
    await page.focus('#subprotocol');
    await page.keyboard.press('Enter');
    await visitor.until('status', 'This browser is connected');
    await page.focus('#text');
    await page.keyboard.press('Enter');
    await visitor.line("> TEXT 'hi' [2 bytes]");
    await page.focus('#log summary');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#log details[open] table');
    await page.focus('#client-browser');
    await page.keyboard.press('ArrowDown');
    expect(await page.isChecked('#client-raw')).toBe(true);
    expect(visitor.problems).toEqual([]);
    await context.close();
  });

  it('says what a mistake was, and goes on', { timeout: 180_000 }, async () => {
    const context = await browser.newContext();
    const visitor = new Visitor(await context.newPage(), origin);
    await visitor.open();
    await visitor.choose('client-raw');
    await visitor.click('connect');
    await visitor.until('status', 'The raw peer is connected');
    await visitor.fill('code', '1005');
    await visitor.click('send-close');
    await visitor.until('problem', '1005');
    await visitor.fill('binary', '0');
    await visitor.click('send-binary');
    await visitor.until('problem', 'pairs');
    await visitor.fill('text', '<img src=x onerror=alert(1)>\u0007');
    await visitor.click('send-text');
    await visitor.line('< TEXT');
    expect(await visitor.page.locator('#log img').count()).toBe(0);
    await visitor.fill('code', '');
    await visitor.click('send-close');
    await visitor.line('< CLOSE [0 bytes]');
    await visitor.until('verdict', 'ended: clean');
    expect(visitor.problems).toEqual([]);
    await context.close();
  });

  it('ends with the server', { timeout: 180_000 }, async () => {
    const other = await startDemo({ port: 0, host: '127.0.0.1' });
    const context = await browser.newContext();
    const visitor = new Visitor(await context.newPage(), other.url.replace(/^ws/, 'http').replace(/\/$/, ''));
    await visitor.open();
    await visitor.click('connect');
    await visitor.until('status', 'This browser is connected');
    await other.close();
    await visitor.until('log', 'the control channel is closed (1001)');
    await visitor.until('log', 'browser: closed with 1001');
    expect(visitor.problems).toEqual([]);
    await context.close();
  });
});

async function useBrowserClient(visitor: Visitor): Promise<void> {
  const { page } = visitor;
  await visitor.choose('client-browser');
  await visitor.fill('subprotocol', 'chat.v1');
  await visitor.click('connect');
  await visitor.until('status', 'This browser is connected, subprotocol chat.v1.');
  await visitor.lit('open');

  await visitor.fill('text', 'hi');
  await visitor.click('send-text');
  expect(await visitor.line("> TEXT 'hi' [2 bytes]")).toBe('81 02 68 69');
  // Masked with the browser's key.
  expect(await visitor.line("< TEXT 'hi' [2 bytes]")).toMatch(/^81 82( [0-9a-f]{2}){6}$/);
  const details = page.locator('#log li.in details', { hasText: "'hi'" }).last();
  await details.locator('summary').click();
  await details.locator('table').waitFor();
  const rows = await details
    .locator('tbody tr')
    .evaluateAll((all) => all.map((row) => [...row.children].slice(0, 2).map((cell) => cell.textContent)));
  expect(rows.slice(0, 5)).toEqual([
    ['FIN', '1'],
    ['RSV1–3', '000'],
    ['Opcode', '0001'],
    ['MASK', '1'],
    ['Payload length', '0000010'],
  ]);
  expect(rows.at(-1)).toEqual(['Payload', '68 69']);

  await visitor.fill('binary', '00 01 fe ff');
  await visitor.click('send-binary');
  expect(await visitor.line('> BINARY 00 01 fe ff')).toBe('82 04 00 01 fe ff');
  await visitor.line('< BINARY 00 01 fe ff');

  await visitor.fill('fragments', 'abcdef');
  await visitor.fill('parts', '3');
  await visitor.click('send-fragments');
  expect(await visitor.line("> TEXT 'ab'")).toBe('01 02 61 62');
  await visitor.until('log', 'browser: got "abcdef"');

  await visitor.fill('ping', 'are you there');
  await visitor.click('send-ping');
  expect(await visitor.line('> PING')).toMatch(/^89 0d /);
  expect(await visitor.line('< PONG')).toMatch(/^8a 8d /);
}

async function pauseAndResume(visitor: Visitor): Promise<void> {
  await visitor.click('pause');
  await visitor.until('reader', 'paused');
  await visitor.click('fill');
  // Where they wait is the system's business: at the client, between the two, or read and not parsed.
  await visitor.waitForMeters(['held', 'way', 'unsent'], 500_000);
  await visitor.click('resume');
  await visitor.until('reader', 'reading');
  await visitor.waitForMeter('held', 0, 0);
  await visitor.waitForMeter('way', 0, 0);
  await visitor.waitForMeter('unsent', 0, 0);
  await visitor.waitForMeter('answers', 0, 0);
}

async function closeFromBrowser(visitor: Visitor): Promise<void> {
  await visitor.fill('code', '1000');
  await visitor.fill('reason', 'done');
  await visitor.click('send-close');
  await visitor.line("< CLOSE 1000 'done'");
  await visitor.line('> CLOSE 1000');
  await visitor.until('verdict', 'ended: clean, code 1000 "done"');
  await visitor.lit('ended');
  await visitor.until('status', 'This browser is not connected.');
}

async function useRawPeer(visitor: Visitor): Promise<void> {
  await visitor.choose('client-raw');
  await visitor.fill('subprotocol', '');
  await visitor.click('connect');
  await visitor.until('status', 'The raw peer is connected.');
  await visitor.lit('open');
  await visitor.click('send-text');
  await visitor.line("< TEXT 'hi' [2 bytes]");
  await visitor.click('send-binary');
  await visitor.line('< BINARY 00 01 fe ff');
  await visitor.click('send-fragments');
  expect(await visitor.line("< TEXT 'ab'")).toMatch(/^01 82 /);
  expect(await visitor.line('< CONT')).toMatch(/^80 82 /);
  await visitor.line("> TEXT 'abcdef' [6 bytes]");
  await visitor.click('send-ping');
  expect(await visitor.line('< PING')).toMatch(/^89 8d /);
  expect(await visitor.line('> PONG')).toMatch(/^8a 0d /);
  await visitor.click('pause');
  await visitor.click('fill');
  await visitor.waitForMeters(['held', 'way', 'unsent'], 500_000);
  await visitor.click('resume');
  await visitor.waitForMeter('held', 0, 0);
  await visitor.waitForMeter('way', 0, 0);
  await visitor.fill('code', '4001');
  await visitor.fill('reason', 'bye');
  await visitor.click('send-close');
  await visitor.until('verdict', 'ended: clean, code 4001 "bye"');
  await visitor.lit('ended');
}

async function sendIllegalFrames(visitor: Visitor): Promise<void> {
  const offered = await visitor.page.$$eval('#illegal button', (buttons) => buttons.map(({ id }) => id));
  expect(offered).toEqual(illegalInputs.map(({ name }) => `illegal-${name}`));
  for (const { name, violation } of illegalInputs) {
    await visitor.click(`illegal-${name}`);
    const { code, closeCode, section } = violations[violation];
    await visitor.until('verdict', code);
    const words = (await visitor.page.textContent('#verdict')) ?? '';
    expect(words).toContain(`close code ${closeCode}`);
    expect(words).toContain(section);
    if (closeCode !== 1006) await visitor.line(`> CLOSE ${closeCode}`);
  }
}
